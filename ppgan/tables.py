# SPDX-License-Identifier: Apache-2.0
"""Where PaddleGAN's modules and names are in ppzoo, and what to use for those it does not have."""

from __future__ import annotations

from collections.abc import Mapping

from ppzoo import registry
from ppzoo.registry import Registry

# Modules of PaddleGAN's whose names their package has here.
IN_PACKAGES = {
    "ppgan.apps": """
        base_predictor edvr_predictor face_parse_predictor first_order_predictor
        photo2cartoon_predictor realsr_predictor wav2lip_predictor
    """,
    "ppgan.datasets": """
        base_sr_dataset builder common_vision_dataset firstorder_dataset image_folder paired_dataset
        repeat_dataset single_dataset unpaired_dataset vsr_folder_dataset vsr_reds_dataset
        vsr_reds_multiple_gt_dataset vsr_vimeo90k_dataset wav2lip_dataset
    """,
    "ppgan.datasets.preprocess": "builder io transforms",
    "ppgan.faceutils.dlibutils": "dlib_utils face_align",
    "ppgan.faceutils.face_detection": "api detection_utils",
    "ppgan.faceutils.face_segmentation": "face_seg",
    "ppgan.faceutils.mask": "face_parser",
    "ppgan.metrics": "builder fid inception lpips psnr_ssim",
    "ppgan.models": """
        base_sr_model builder cycle_gan_model dc_gan_model edvr_model esrgan_model firstorder_model
        gan_model pix2pix_model rcan_model sr_model ugatit_model wav2lip_hq_model wav2lip_model
    """,
    "ppgan.models.criterions": "builder gan_loss gradient_penalty perceptual_loss pixel_loss",
    "ppgan.models.discriminators": """
        builder dcdiscriminator discriminator_firstorder discriminator_ugatit nlayers syncnet
        vgg_discriminator wav2lip_disc_qual
    """,
    "ppgan.models.generators": """
        builder dcgenerator deep_conv edvr generator_firstorder occlusion_aware rcan resnet
        resnet_ugatit resnet_ugatit_p2c rrdb_net unet wav2lip
    """,
    "ppgan.solver": "builder lr_scheduler optimizer",
}

# Registries whose names are those of a module, too.
REGISTRIES: dict[str, tuple[Registry, ...]] = {
    "ppgan.datasets": (registry.DATASETS,),
    "ppgan.datasets.preprocess": (registry.PREPROCESS, registry.TRANSFORMS),
    "ppgan.metrics": (registry.METRICS,),
    "ppgan.models": (registry.MODELS,),
    "ppgan.models.criterions": (registry.CRITERIONS,),
    "ppgan.models.discriminators": (registry.DISCRIMINATORS,),
    "ppgan.models.generators": (registry.GENERATORS,),
    "ppgan.solver": (registry.LRSCHEDULERS, registry.OPTIMIZERS),
}

# Names of PaddleGAN's modules, and where they are: `package.module`, followed by `:name` where
# they are called otherwise, by `:` alone where they are modules.
HOMES: dict[str, dict[str, str]] = {
    "ppgan.apps": {
        "EDVRPredictor": "ppzoo.apps.edvr",
        "FaceParsePredictor": "ppzoo.apps.face_parse",
        "FirstOrderPredictor": "ppzoo.apps.firstorder",
        "Photo2CartoonPredictor": "ppzoo.apps.photo2cartoon",
        "RealSRPredictor": "ppzoo.apps.realsr",
        "Wav2LipPredictor": "ppzoo.apps.wav2lip",
    },
    "ppgan.datasets": {
        "BaseDataset": "ppgan.datasets.base_dataset",
        "DATASETS": "ppzoo.registry",
        "IMG_EXTENSIONS": "ppgan.datasets.base_dataset",
        "scandir": "ppgan.datasets.base_dataset",
    },
    "ppgan.datasets.preprocess": {"PREPROCESS": "ppzoo.registry", "TRANSFORMS": "ppzoo.registry"},
    "ppgan.faceutils": {"dlib": "ppgan.faceutils.dlibutils:"},
    "ppgan.faceutils.face_detection.detection": {},
    "ppgan.faceutils.face_detection.detection.blazeface": {},
    "ppgan.faceutils.face_detection.detection.sfd": {},
    "ppgan.metrics": {
        "InceptionV3": "ppzoo.networks.inception",
        "METRICS": "ppzoo.registry",
        "calculate_psnr": "ppzoo.metrics.psnr",
        "calculate_ssim": "ppzoo.metrics.ssim",
    },
    "ppgan.models": {"BaseModel": "ppgan.models.base_model", "MODELS": "ppzoo.registry"},
    "ppgan.models.criterions": {"CRITERIONS": "ppzoo.registry"},
    "ppgan.models.discriminators": {"DISCRIMINATORS": "ppzoo.registry"},
    "ppgan.models.generators": {
        "GENERATORS": "ppzoo.registry",
        "OcclusionAwareGenerator": "ppzoo.motion.firstorder.generator",
    },
    "ppgan.modules": {},
    "ppgan.modules.dense_motion": {
        "DenseMotionNetwork": "ppzoo.motion.firstorder.dense_motion",
    },
    "ppgan.modules.first_order": {
        "AntiAliasInterpolation2d": "ppzoo.motion.firstorder.antialias",
        "Hourglass": "ppzoo.motion.firstorder.blocks",
        "ImagePyramide": "ppzoo.motion.firstorder.antialias",
        "kp2gaussian": "ppzoo.motion.firstorder.keypoints",
        "make_coordinate_grid": "ppzoo.motion.warp",
    },
    "ppgan.modules.keypoint_detector": {"KPDetector": "ppzoo.motion.firstorder.keypoints"},
    "ppgan.modules.norm": {
        "Identity": "ppzoo.nn.norm",
        "build_norm_layer": "ppzoo.nn.norm",
    },
    "ppgan.modules.utils": {"spectral_norm": "paddle.nn.utils"},
    "ppgan.solver": {"LRSCHEDULERS": "ppzoo.registry", "OPTIMIZERS": "ppzoo.registry"},
    "ppgan.utils": {},
    "ppgan.utils.animate": {"normalize_kp": "ppzoo.motion.firstorder.keypoints"},
    "ppgan.utils.image_pool": {"ImagePool": "ppzoo.translation.image_pool"},
}

_EDVR = "EDVRPredictor enlarges films four times, too"
_REALSR = "RealSRPredictor enlarges photographs four times and removes their noise"
_CARTOON = "Photo2CartoonPredictor draws faces"
_GANS = "`ppzoo predict dcgan` and `wgan` draw pictures from noise"
_FACES = "`ppzoo.faces.detector.build_detector` finds faces and their landmarks"
_ALIGNMENT = "FaceAlignment takes `face_detector`"
_ALIGN = "`ppzoo.faces.align.align_face` turns a face upright and cuts it out"
_BLOCKS = "`ppzoo.motion.firstorder.blocks` has what takes its place, with other arguments"
_SR = "RRDBNet and RCAN enlarge pictures"
_VSR = "EDVRNet enlarges films"
_UGATIT = "ResnetUGATITGenerator and ResnetUGATITP2CGenerator draw cartoons"
_PAIRS = "SRDataset reads pairs of pictures, large and small"
_UNPAIRED = "UnpairedDataset reads two folders of pictures"
_STYLES = "UGATITModel learns to draw in a style"
_RESTORE = "BaseSRModel and ESRGAN restore pictures"
_FILMS = "EDVRModel restores films"
_TRANSLATE = "CycleGANModel and UGATITModel translate pictures"
_PIXELS = "L1Loss, MSELoss and CharbonnierLoss compare pixels"
_FEATURES = "PerceptualLoss compares features"
_PATCHES = "NLayerDiscriminator and UGATITDiscriminator judge patches"
_PLAIN_RESNET = "ResnetGenerator is the same with ordinary convolutions"

# Names of PaddleGAN's that ppzoo does not have, by module and by what to use instead. Those that
# PaddleGAN registers are missing until a class of ppzoo's has them, whether they are here or not.
_ABSENT: dict[str, dict[str, str]] = {
    "ppgan.apps": {
        _CARTOON: "AnimeGANPredictor",
        _EDVR: """
            BasicVSRPredictor BasiVSRPlusPlusPredictor IconVSRPredictor PPMSVSRLargePredictor
            PPMSVSRPredictor
        """,
        _GANS: "StyleGANv2Predictor",
        _REALSR: "GPENPredictor InvDNPredictor MPRPredictor NAFNetPredictor SwinIRPredictor",
        "a predictor is any class with a method `run`": "BasePredictor",
        "": """
            AOTGANPredictor DAINPredictor DeOldifyPredictor DeepRemasterPredictor LapStylePredictor
            MiDaSPredictor PSGANPredictor PhotoPenPredictor Pixel2Style2PixelPredictor
            SinGANPredictor StyleGANv2ClipPredictor StyleGANv2EditingPredictor
            StyleGANv2FittingPredictor StyleGANv2MixingPredictor
        """,
    },
    "ppgan.datasets": {
        _PAIRS: """
            FFHQDegradationDataset GPENDataset InvDNDataset MPRTest MPRTrain MPRVal NAFNetTest
            NAFNetTrain NAFNetVal SwinIRDataset
        """,
        "PairedDataset reads pairs of pictures": "PairedImageDataset",
        _UNPAIRED: """
            AnimeGANV2Dataset LapStyleDataset MakeupDataset StarGANv2Dataset
        """,
        "`paddle.io.Dataset` is the base of datasets": "BaseSRDataset",
        "SingleDataset reads a folder of pictures": "ImageFolder is_image_file make_dataset",
    },
    "ppgan.datasets.preprocess": {"PREPROCESS has the steps": "LOAD_PIPELINE"},
    "ppgan.faceutils.dlibutils": {
        _FACES: "detect landmarks get_max_face",
        _ALIGN: "align align_crop crop crop_by_image_size crop_from_array",
    },
    "ppgan.faceutils.face_detection": {
        "`ppzoo.faces.boxes` compares boxes": """
            IOU Union cluster_ious compute_aspect_preserved_bbox find_intersections largest_results
            polygon_ious rescale_detections union_clusters union_results upscale_detection
            upscale_detections
        """,
    },
    "ppgan.faceutils.face_detection.detection.blazeface": {_ALIGNMENT: "FaceDetector"},
    "ppgan.faceutils.face_detection.detection.sfd": {_ALIGNMENT: "FaceDetector"},
    "ppgan.faceutils.face_segmentation": {
        "`ppzoo.faces.faceseg.FaceSegFCN` is the whole network": "FCN HRNet_W18 HRNet",
    },
    "ppgan.metrics": {
        "calculate_psnr and calculate_ssim take `test_y_channel`": """
            bgr2ycbcr reorder_image rgb2ycbcr to_y_channel
        """,
        "build_metric makes FID, whose `update` takes pictures": """
            calculate_fid_given_img calculate_fid_given_paths calculate_inception_val
        """,
        "build_metric makes LPIPSMetric": "LPIPS",
    },
    "ppgan.models": {
        _GANS: "StyleGAN2Model",
        _STYLES: """
            AnimeGANV2Model AnimeGANV2PreTrainModel LapStyleDraModel LapStyleRevFirstModel
            LapStyleRevSecondModel
        """,
        _RESTORE: """
            DRN GFPGANModel GPENModel InvDNModel MPRModel NAFNetModel PReNetModel SwinIRModel
        """,
        _FILMS: "BasicVSRModel MultiStageVSRModel",
        _TRANSLATE: "MakeupModel StarGANv2Model",
    },
    "ppgan.models.criterions": {
        _PIXELS: "EdgeLoss GFPGANL1Loss PSNRLoss SSIM",
        _FEATURES: """
            AOTGANCriterionLoss CalcContentLoss CalcContentReltLoss CalcStyleEmdLoss CalcStyleLoss
            GFPGANPerceptualLoss IDLoss PhotoPenPerceptualLoss
        """,
        "GANLoss has six kinds": "GFPGANGANLoss",
    },
    "ppgan.models.discriminators": {
        _PATCHES: """
            AnimeDiscriminator Discriminator GPENDiscriminator LapStyleDiscriminator
            MultiscaleDiscriminator SinGANDiscriminator StarGANv2Discriminator
            StyleGAN2DiscriminatorGFPGAN StyleGANv2Discriminator
        """,
    },
    "ppgan.models.generators": {
        _UGATIT: "AnimeGenerator AnimeGeneratorLite DecoderNet Encoder RevisionNet",
        _VSR: "BasicVSRNet BasicVSRPlusPlus IconVSR MSVSR",
        _SR: """
            DRNGenerator GFPGANv1 GFPGANv1Clean GPEN GPENGenerator InvDN LESRCNNGenerator MPRNet
            NAFNet NAFNetLocal PAN PReNet SwinIR
        """,
        _PLAIN_RESNET: "MobileResnetGenerator",
        _GANS: "StyleGANv2Generator SinGANGenerator",
    },
    "ppgan.modules.first_order": {
        _BLOCKS: """
            Decoder DownBlock2d Encoder MobileDownBlock2d MobileResBlock2d MobileUpBlock2d
            ResBlock2d SameBlock2d SyncBatchNorm UpBlock2d
        """,
        "write `{name: value.detach() for name, value in kp.items()}`": "detach_kp",
    },
    "ppgan.modules.utils": {"`paddle.nn.utils.spectral_norm` applies it": "SpectralNorm"},
}
MISSING: dict[str, dict[str, str]] = {
    module: {name: instead for instead, names in kinds.items() for name in names.split()}
    for module, kinds in _ABSENT.items()
}

# Modules of PaddleGAN's that ppzoo has nothing of, by package and by what to use instead.
_ABSENT_MODULES: dict[str, dict[str, str]] = {
    "ppgan.apps": {
        _CARTOON: "animegan_predictor",
        _EDVR: "recurrent_vsr_predictor",
        _GANS: "styleganv2_predictor",
        _REALSR: """
            gpen_predictor invdn_predictor mpr_predictor nafnet_predictor swinir_predictor
        """,
        "": """
            aotgan_predictor dain_predictor deepremaster_predictor deoldify_predictor
            lapstyle_predictor midas midas_predictor photopen_predictor pixel2style2pixel_predictor
            psgan_predictor singan_predictor styleganv2clip_predictor styleganv2editing_predictor
            styleganv2fitting_predictor styleganv2mixing_predictor
        """,
    },
    "ppgan.datasets": {
        _PAIRS: """
            gfpgan_datasets gpen_dataset invdn_dataset mpr_dataset nafnet_dataset
            paired_image_datasets swinir_dataset
        """,
        _UNPAIRED: "animeganv2_dataset lapstyle_dataset makeup_dataset starganv2_dataset",
        "": "aotgan_dataset empty_dataset photopen_dataset",
    },
    "ppgan.faceutils": {_REALSR: "face_enhancement"},
    "ppgan.faceutils.face_detection": {_FACES: "utils"},
    "ppgan.faceutils.face_detection.detection": {_FACES: "core"},
    "ppgan.faceutils.face_detection.detection.blazeface": {_FACES: "net_blazeface utils"},
    "ppgan.faceutils.face_detection.detection.sfd": {_FACES: "net_s3fd"},
    "ppgan.faceutils.face_segmentation": {
        "`ppzoo.faces.faceseg.FaceSegFCN` is the whole network": "fcn hrnet",
    },
    "ppgan.faceutils.mask": {"`ppzoo.faces.bisenet.BiSeNet` is the network": "model resnet"},
    "ppgan.metrics": {"`ppzoo measure` compares folders of pictures": "compute_fid"},
    "ppgan.models": {
        "`paddle.vision.models` has ResNets": "backbones",
        _GANS: "styleganv2_model",
        _STYLES: "animeganv2_model lapstyle_model",
        _RESTORE: """
            drn_model gfpgan_model gpen_model invdn_model mpr_model nafnet_model prenet_model
            swinir_model
        """,
        _FILMS: "basicvsr_model msvsr_model",
        _TRANSLATE: "makeup_model starganv2_model",
        "": "aotgan_model photopen_model singan_model",
    },
    "ppgan.models.criterions": {
        _PIXELS: "ssim",
        _FEATURES: """
            IDLoss aotgan_perceptual_loss gfpgan_loss id_loss photopen_perceptual_loss
        """,
    },
    "ppgan.models.discriminators": {
        _PATCHES: """
            discriminator_animegan discriminator_aotgan discriminator_lapstyle
            discriminator_photopen discriminator_singan discriminator_starganv2
            discriminator_styleganv2
        """,
        "": "arcface_arch_paddle",
    },
    "ppgan.models.generators": {
        _UGATIT: "generater_animegan generater_lapstyle",
        _VSR: "basicvsr basicvsr_plus_plus iconvsr msvsr",
        _SR: """
            drn generator_gpen gfpganv1_arch gfpganv1_clean_arch gpen invdn lesrcnn mpr nafnet pan
            prenet stylegan2_clean_arch swinir
        """,
        _PLAIN_RESNET: "mobile_resnet",
        _GANS: "generator_singan generator_styleganv2",
        "": """
            deoldify generater_aotgan generater_photopen generator_pixel2style2pixel
            generator_starganv2 hook makeup remaster
        """,
    },
    "ppgan.modules": {
        "PerceptualLoss compares features of a VGG": "caffevgg",
        "`ppzoo.lipsync.blocks` has what takes its place, with other arguments": "conv",
        "`paddle.vision.ops.DeformConv2D` is such a convolution": "dcn",
        "`paddle.nn` has layers and losses": "nn",
        _FACES: "wing",
        "": "equalized fused_act upfirdn2d",
    },
    "ppgan.utils": {
        _FACES: "gfpgan_tools",
        "it is a part of PSGAN": "preprocess",
        "`ppzoo train --profiler_options` profiles steps": "profiler",
        "": "aotgan photopen",
    },
}
MISSING_MODULES: dict[str, str] = {
    f"{package}.{name}": instead
    for package, kinds in _ABSENT_MODULES.items()
    for instead, names in kinds.items()
    for name in names.split()
}

ALIASES: Mapping[str, str] = {
    f"{package}.{name}": package for package, names in IN_PACKAGES.items() for name in names.split()
}
