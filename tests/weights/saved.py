# SPDX-License-Identifier: Apache-2.0
"""Pickles as programs have written them."""

import base64

# What paddle.save wrote for {"netG": OrderedDict(w=Tensor), "epoch": 3, "optim": {...}}.
_ENCODED = {
    "paddle 3.3, NumPy 2.4, protocol 2": (
        "fC7DS04P`l0001PWpqbz0b^rtY;0v?bZKvHa|%y#WMy(?WJGCWbP90-DN=C*SOEY40C#Z&V_#olb!lvLX>MO%3U"
        "qaFY-I{@1y~XQ003uYZe?;|bY)~;bY*UHZ*pHSaRy^<b!~8YE?;ABa%C=Ub!>ELVRCX|c?w^0Wn*t{b98cbV{{5}"
        "2V-t^ZE$%CZe(F{a$$K2aR^HQg>eaEUt@1%Wn*&+Wo~0{WMv9*3RnRE003ff3s?pK003-ZbZKreaSVoW4N`Fqhj9"
        ";5aS$j=0ZRc(0)}xBV{UbAaCr)3ba`-P3ULxx0ssI2W;AgViHL`B6jE^&C`$ua0RR91JaHCIPEJby|Ns9=|NsC0O"
        "8|6n7h;KM3RnsN00000!+<{k006^)aTsU}hH)8EaT;`S8)AlW9EEWmQgI%0SOow80A+A*V`y<7O9NO10001QaCB*"
        "HaUgwhAt+b^0001Na&aPKZgp*Nc`jdLZ*pZWZFOvPX<>45VR;I3V_|Gzatd)HXccG*SOow80002OfIe{~XbgsNB~"
        "o!FhH)oSaVS^?0001HY++|}aVcmAXb4LHg>foq4u^3oQgJLOO94v)g>fxt5?BHN003e!aW097hjA}baWE)L16Tn7"
        "004Y(F-}fSO8@`=|4RS=|Nlz>ba66biD(K~0ssI20RV9`XbgsNG*WRjba6Ifb#*Q"
    ),
    "paddle 3.3, NumPy 2.4, protocol 4": (
        "fCQCw0RR910001elqie@Ze?^wl#B~wZ)|L3V{~b6ZgZ533r})nWpZU?L}_Dml#`SxQk0AVca)3>Vs&Y3bZKsLl#B&"
        "*b#QEDl#`T<5@%&@WpZJ3Wn^D;Wo~nCa$hi%j23QnZE$%mUt@1_WiD-XY;<X1a&lpLl#C2ta%E$0ZgX^Ubz^jtla!"
        "1FZgp*Nd6bL?Ze(F{a$$LtlaxyUg_J`9Vw8uJQj{o50ZRc(0)~`m4vYn4ba`-Pl#`T<0%kOniHL`kQj{o51B?MYlu"
        "k}gO8@`=|4RS=|Nlz>bd+L=LkIu>z&`*00Kk-VlwyXIg_Kg1bBqOLaBpL1luHAQ1#fV4X>F8!lqie>Y;u%n3ycPHV"
        "_|Gza+H&lXc|KV004kKl!la2l#B&tY++|}lxPiT5K91slxPx%lv0!^O94v)g_LL)i~?dYl!=Iklv0!^O9PAne3VX3"
        "PD=m(|Nlz=|Ns9>0CbdMi9-Sb0F-o;Vs&*c"
    ),
    "paddle 2.6, NumPy 1.26, protocol 2": (
        "fC7DS04P`l0001PWpqbz0b^rtY;0v?bZKvHa|%y#WMy(?WJGCWbP90-DN=C*SOEY40C#Z&V_#olb!lvLX>MO%3Uqa"
        "FY-I{@1y~XQ003uYZe?;|bY)~;bY*UHZ*pHSaRy^<b!~8YE@N+UWiD-XY;<X1a&lpL3SV+%V{dMAbaHiLbP90?V{Ub"
        "AaCr)DWMOi0VR;I12ulEkaS3BzV{c?-V{-~+Zewp`WeRZ$SOEY40Ag_qSOx$90Bm7&X>Kub42E$HQgIH4aSu{)5GYF"
        "lO94v)hH(*NZgp*Nc?x87d2nS4aS~Vp0001HG;tG&h=*|$QgIb1O9NN|0000yaTZQaPD=m(|Nlz=|Ns9>0CaH|Vu@%"
        "9SPB3D0002PfIk2L0K<TB7-$TJaT!u^8gy|RVuo=Xg>fBHaUOG61poj5WpHm}XmKA)16TzB003`rbZKpIAboKmC|Cj"
        "j003-qaUx@Gb!~8YE@N+UWiD-XY;<X1a&lpL3Ugy&Y+-T=aU*CIXbM;b000000K$MiaU^IAhH)iQaVCawCsJ`JSOow"
        "80A_4qXLE5WXa{HrO8|v&DrgReaVt`BEGSC>O9F*)Eoc&00ssI2Vli<piHL`BFH&(ZC`$ua0RR91d~q>OPEJby|Ns9"
        "=|NsC0O8|6nGGd8n3RnUF00031aWiNPhH*4faW!;tHez*kE&"
    ),
    "paddle 2.6, NumPy 1.26, protocol 4": (
        "fCQCv0RR910001elqie@Ze?^wl#B~wZ)|L3V{~b6ZgZ533r})nWpZU?L}_Dml#`SxQk0AVca)3>Vs&Y3bZKsLl#B&*"
        "b#QEDl#`T<5@%&@WpZJ3Wn^D;Wo~nCa$hi%j1_KmZE$%mV{dY0E^T#ebZKF7a$$Ltj0|6LWn*t{b98cbV|0|0l#B&#"
        "b!~8Yl#B;%WMOi0VR@93luH1GltTexl!ug3lqgF9O94v)hLmUyj0I$Ld2nTvla!1CW;B$Eh=-I?lqgFBi~&59PEJlr"
        "|NsC0O8@`=|4RULlwyfP2mk=UKL7v#z?5{9VuqB3lv0#)j0I(IZ)0ebO9PArZ*X*JZIpeKD2xJZa+GKbj0SUKVQgV?"
        "l#`Tb8bbsC0DwM}hLlp2j0I+FVP|ucXbor(O8|wGXcC8%Qj{o50ZRgflxP=>0%9?giHL`kQj{o51B?NDluk}gO8@`="
        "|4RS=|Nlz>bd+L=LjnN+lysD0b#*Q"
    ),
    "NumPy 2.4, protocol 5": (
        "fCZI=000000001el#Bs)l#CN@b!~8YE?;ABa%C=Vb!}yGX=9X(3twh(Z*5|AW@cq_l#`SwmIwd<000000002MKL7v#"
        "z?6&yZgp*Nd6bL=WOR9OWt5YYi~?pfl!=Iklv0!^O9PAnJd{pOPD=m(|Nlz=|Ns9>0CbdMO94v)hLnr}LzHxsQj~Kp"
    ),
    "NumPy 1.26, protocol 5": (
        "fCZI=000000001el#Bs)l#CK?b!~8YE@N+UWiD=YZDn$4W0Z^wUuJS|ZDMt1W@U1elawfy2mk;800000006*00002M"
        "l#B&#b!~8Yl#B&rba`-Pl#`T<0%kOniHL`kQj{o51B?MYluk}gO8@`=|4RS=|Nlz>bd+LC0ZRggl#BsGlysC*lyfc"
    ),
}

SAVED = {origin: base64.b85decode(data) for origin, data in _ENCODED.items()}
