# SPDX-License-Identifier: Apache-2.0
"""The names that PaddleGAN's configs can say: those that ppzoo lacks are known as PaddleGAN's.

A name that a family of ppzoo's registers one day is no longer missing by that alone.
"""

from __future__ import annotations

from collections.abc import Sequence

# By what a registry holds, as its errors say it. `RepeatDataset` is in none of PaddleGAN's.
_REGISTERED = {
    "model": """
        AOTGANModel AnimeGANV2Model AnimeGANV2PreTrainModel BaseSRModel BasicVSRModel CycleGANModel
        DCGANModel DRN EDVRModel ESRGAN FirstOrderModel FirstOrderModelMobile GANModel GFPGANModel
        GPENModel InvDNModel LapStyleDraModel LapStyleRevFirstModel LapStyleRevSecondModel MPRModel
        MakeupModel MultiStageVSRModel NAFNetModel PReNetModel PhotoPenModel Pix2PixModel RCANModel
        SinGANModel StarGANv2Model StyleGAN2Model SwinIRModel UGATITModel Wav2LipModel
        Wav2LipModelHq
    """,
    "generator": """
        AnimeGenerator AnimeGeneratorLite BasicVSRNet BasicVSRPlusPlus ConditionalDeepConvGenerator
        DCGenerator DRNGenerator DecoderNet DeepConvGenerator EDVRNet Encoder FAN
        FirstOrderGenerator GFPGANv1 GFPGANv1Clean GPENGenerator GeneratorPSGANAttention IconVSR
        InpaintGenerator InvDN LESRCNNGenerator MPRNet MSVSR MobileResnetGenerator NAFNet
        NAFNetLocal PAN PReNet Pixel2Style2Pixel RCAN RRDBNet ResnetGenerator ResnetUGATITGenerator
        ResnetUGATITP2CGenerator RevisionNet SPADEGenerator SinGANGenerator StarGANv2Generator
        StarGANv2Mapping StarGANv2Style StyleGANv2Generator SwinIR UnetGenerator Wav2Lip
    """,
    "discriminator": """
        AnimeDiscriminator DCDiscriminator Discriminator FirstOrderDiscriminator GPENDiscriminator
        LapStyleDiscriminator MultiscaleDiscriminator NLayerDiscriminator
        NLayerDiscriminatorWithClassification ResNetArcFace SinGANDiscriminator
        StarGANv2Discriminator StyleGAN2DiscriminatorGFPGAN StyleGANv2Discriminator SyncNetColor
        UGATITDiscriminator VGGDiscriminator128 Wav2LipDiscQual
    """,
    "criterion": """
        AOTGANCriterionLoss BCEWithLogitsLoss CalcContentLoss CalcContentReltLoss CalcStyleEmdLoss
        CalcStyleLoss CharbonnierLoss EdgeLoss GANLoss GFPGANGANLoss GFPGANL1Loss
        GFPGANPerceptualLoss GradientPenalty IDLoss L1Loss MSELoss PSNRLoss PerceptualLoss
        PhotoPenPerceptualLoss SSIM
    """,
    "dataset": """
        AOTGANDataset AOTGANDataset_test AnimeGANV2Dataset CommonVisionDataset EmptyDataset
        FFHQDegradationDataset FirstOrderDataset GPENDataset InvDNDataset LapStyleDataset MPRTest
        MPRTrain MPRVal MakeupDataset NAFNetTest NAFNetTrain NAFNetVal PairedDataset
        PairedImageDataset PhotoPenDataset PhotoPenDataset_test SRDataset SingleDataset
        StarGANv2Dataset SwinIRDataset UnpairedDataset VSRFolderDataset VSRREDSDataset
        VSRREDSMultipleGTDataset VSRVimeo90KDataset Wav2LipDataset
    """,
    "preprocess step": """
        GetFrameIdx GetFrameIdxwithPadding GetNeighboringFramesIdx LoadImageFromFile
        ReadImageSequence SplitPairedImage Transforms
    """,
    "transform": """
        Add Grayscale MirrorVideoSequence Normalize NormalizeSequence PairedColorJitter
        PairedRandomCrop PairedRandomHorizontalFlip PairedRandomTransposeHW PairedRandomVerticalFlip
        PairedToTensor RandomCrop RandomHorizontalFlip RandomResizedCropProb RandomVerticalFlip
        Resize ResizeToScale SRNoise SRPairedRandomCrop ToTensor Transpose TransposeSequence
    """,
    "metric": """
        FID LPIPSMetric PSNR SSIM
    """,
    "optimizer": """
        Adam AdamW Momentum RMSProp SGD
    """,
    "learning-rate scheduler": """
        CosineAnnealingRestartLR LinearDecay MultiStepDecay NonLinearDecay
    """,
}
REGISTERED = {label: frozenset(names.split()) for label, names in _REGISTERED.items()}


def has_name(label: str, name: str) -> bool:
    """Return whether PaddleGAN registers a name.

    Args:
        label: what the registry holds, such as `generator`.
        name: a registered name, such as `UnetGenerator`.
    """
    return name in REGISTERED.get(label, ())


def lacking(names: Sequence[str]) -> str:
    """Return the sentence that says that ppzoo does not have some of PaddleGAN's names.

    Args:
        names: one or more of them, the most telling one first.
    """
    first, *others = names
    nor = f", nor {', '.join(others)}" if others else ""
    return f"ppzoo does not have PaddleGAN's {first} yet{nor}; `ppzoo list` shows what it has"
