# SPDX-License-Identifier: Apache-2.0
"""What PaddleGAN's 61 configs name, as of its commit 094a2eb of 2024-03-11: facts, no contents.

For each file: the model | networks | losses | datasets | steps of preparation | metrics.
"""

from __future__ import annotations

FILES = {
    "animeganv2": """
        AnimeGANV2Model | AnimeGenerator AnimeDiscriminator | GANLoss | AnimeGANV2Dataset
        SingleDataset | Transpose Normalize Add Grayscale LoadImageFromFile Transforms ResizeToScale
        |
    """,
    "animeganv2_pretrain": """
        AnimeGANV2PreTrainModel | AnimeGenerator AnimeDiscriminator | GANLoss | AnimeGANV2Dataset
        SingleDataset | Transpose Normalize Add Grayscale LoadImageFromFile Transforms ResizeToScale
        |
    """,
    "aotgan": """
        AOTGANModel | InpaintGenerator Discriminator | AOTGANCriterionLoss | AOTGANDataset
        AOTGANDataset_test | |
    """,
    "basicvsr++_reds": """
        BasicVSRModel | BasicVSRPlusPlus | CharbonnierLoss | RepeatDataset VSRREDSMultipleGTDataset
        | GetNeighboringFramesIdx ReadImageSequence Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW
        TransposeSequence NormalizeSequence | PSNR SSIM
    """,
    "basicvsr++_vimeo90k_BD": """
        BasicVSRModel | BasicVSRPlusPlus | CharbonnierLoss | RepeatDataset VSRVimeo90KDataset
        VSRFolderDataset | ReadImageSequence Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW
        TransposeSequence MirrorVideoSequence NormalizeSequence GetNeighboringFramesIdx | PSNR SSIM
    """,
    "basicvsr_reds": """
        BasicVSRModel | BasicVSRNet | CharbonnierLoss | RepeatDataset VSRREDSMultipleGTDataset |
        GetNeighboringFramesIdx ReadImageSequence Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW
        TransposeSequence NormalizeSequence | PSNR SSIM
    """,
    "cond_dcgan_mnist": """
        GANModel | ConditionalDeepConvGenerator NLayerDiscriminatorWithClassification | GANLoss |
        CommonVisionDataset | Normalize |
    """,
    "cyclegan_cityscapes": """
        CycleGANModel | ResnetGenerator NLayerDiscriminator | L1Loss GANLoss | UnpairedDataset |
        LoadImageFromFile Transforms Resize RandomCrop RandomHorizontalFlip Transpose Normalize |
    """,
    "cyclegan_horse2zebra": """
        CycleGANModel | ResnetGenerator NLayerDiscriminator | L1Loss GANLoss | UnpairedDataset |
        LoadImageFromFile Transforms Resize RandomCrop RandomHorizontalFlip Transpose Normalize |
        FID
    """,
    "dcgan_mnist": """
        DCGANModel | DCGenerator DCDiscriminator | GANLoss | CommonVisionDataset | Resize Normalize
        |
    """,
    "drn_psnr_x4_div2k": """
        DRN | DRNGenerator | L1Loss | SRDataset | LoadImageFromFile Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW Transpose
        Normalize | PSNR SSIM
    """,
    "edvr_l_blur_w_tsa": """
        EDVRModel | EDVRNet | CharbonnierLoss | RepeatDataset VSRREDSDataset | GetFrameIdx
        ReadImageSequence Transforms SRPairedRandomCrop PairedRandomHorizontalFlip
        PairedRandomVerticalFlip PairedRandomTransposeHW TransposeSequence NormalizeSequence
        GetFrameIdxwithPadding | PSNR SSIM
    """,
    "edvr_l_blur_wo_tsa": """
        EDVRModel | EDVRNet | CharbonnierLoss | RepeatDataset VSRREDSDataset | GetFrameIdx
        ReadImageSequence Transforms SRPairedRandomCrop PairedRandomHorizontalFlip
        PairedRandomVerticalFlip PairedRandomTransposeHW TransposeSequence NormalizeSequence
        GetFrameIdxwithPadding | PSNR SSIM
    """,
    "edvr_l_w_tsa": """
        EDVRModel | EDVRNet | CharbonnierLoss | RepeatDataset VSRREDSDataset | GetFrameIdx
        ReadImageSequence Transforms SRPairedRandomCrop PairedRandomHorizontalFlip
        PairedRandomVerticalFlip PairedRandomTransposeHW TransposeSequence NormalizeSequence
        GetFrameIdxwithPadding | PSNR SSIM
    """,
    "edvr_l_wo_tsa": """
        EDVRModel | EDVRNet | CharbonnierLoss | RepeatDataset VSRREDSDataset | GetFrameIdx
        ReadImageSequence Transforms SRPairedRandomCrop PairedRandomHorizontalFlip
        PairedRandomVerticalFlip PairedRandomTransposeHW TransposeSequence NormalizeSequence
        GetFrameIdxwithPadding | PSNR SSIM
    """,
    "edvr_m_w_tsa": """
        EDVRModel | EDVRNet | CharbonnierLoss | RepeatDataset VSRREDSDataset | GetFrameIdx
        ReadImageSequence Transforms SRPairedRandomCrop PairedRandomHorizontalFlip
        PairedRandomVerticalFlip PairedRandomTransposeHW TransposeSequence NormalizeSequence
        GetFrameIdxwithPadding | PSNR SSIM
    """,
    "edvr_m_wo_tsa": """
        EDVRModel | EDVRNet | CharbonnierLoss | RepeatDataset VSRREDSDataset | GetFrameIdx
        ReadImageSequence Transforms SRPairedRandomCrop PairedRandomHorizontalFlip
        PairedRandomVerticalFlip PairedRandomTransposeHW TransposeSequence NormalizeSequence
        GetFrameIdxwithPadding | PSNR SSIM
    """,
    "esrgan_psnr_x2_div2k": """
        BaseSRModel | RRDBNet | L1Loss | SRDataset | LoadImageFromFile Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW Transpose
        Normalize | PSNR SSIM
    """,
    "esrgan_psnr_x4_div2k": """
        BaseSRModel | RRDBNet | L1Loss | SRDataset | LoadImageFromFile Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW Transpose
        Normalize | PSNR SSIM
    """,
    "esrgan_x4_div2k": """
        ESRGAN | RRDBNet VGGDiscriminator128 | L1Loss PerceptualLoss GANLoss | SRDataset |
        LoadImageFromFile Transforms SRPairedRandomCrop PairedRandomHorizontalFlip
        PairedRandomVerticalFlip PairedRandomTransposeHW Transpose Normalize | PSNR SSIM LPIPSMetric
    """,
    "firstorder_fashion": """
        FirstOrderModel | FirstOrderGenerator FirstOrderDiscriminator | | FirstOrderDataset |
        PairedRandomHorizontalFlip PairedColorJitter |
    """,
    "firstorder_vox_256": """
        FirstOrderModel | FirstOrderGenerator FirstOrderDiscriminator | | FirstOrderDataset |
        PairedRandomHorizontalFlip PairedColorJitter |
    """,
    "firstorder_vox_mobile_256": """
        FirstOrderModelMobile | FirstOrderGenerator FirstOrderDiscriminator | | FirstOrderDataset |
        PairedRandomHorizontalFlip PairedColorJitter |
    """,
    "gfpgan_ffhq1024": """
        GFPGANModel | GFPGANv1 StyleGAN2DiscriminatorGFPGAN ResNetArcFace | GFPGANL1Loss
        GFPGANPerceptualLoss GFPGANGANLoss | FFHQDegradationDataset PairedImageDataset | | PSNR FID
    """,
    "gpen_256_ffhq": """
        GPENModel | GPENGenerator GPENDiscriminator | | GPENDataset | | FID
    """,
    "iconvsr_reds": """
        BasicVSRModel | IconVSR | CharbonnierLoss | RepeatDataset VSRREDSMultipleGTDataset |
        GetNeighboringFramesIdx ReadImageSequence Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW
        TransposeSequence NormalizeSequence | PSNR SSIM
    """,
    "invdn_denoising": """
        InvDNModel | InvDN | | InvDNDataset | | PSNR SSIM
    """,
    "lapstyle_draft": """
        LapStyleDraModel | Encoder DecoderNet | CalcStyleEmdLoss CalcContentReltLoss CalcContentLoss
        CalcStyleLoss | LapStyleDataset | |
    """,
    "lapstyle_rev_first": """
        LapStyleRevFirstModel | RevisionNet LapStyleDiscriminator Encoder DecoderNet |
        CalcStyleEmdLoss CalcContentReltLoss CalcContentLoss CalcStyleLoss GANLoss | LapStyleDataset
        | |
    """,
    "lapstyle_rev_second": """
        LapStyleRevSecondModel | RevisionNet LapStyleDiscriminator Encoder DecoderNet |
        CalcStyleEmdLoss CalcContentReltLoss CalcContentLoss CalcStyleLoss GANLoss | LapStyleDataset
        | |
    """,
    "lesrcnn_psnr_x4_div2k": """
        BaseSRModel | LESRCNNGenerator | L1Loss | SRDataset | LoadImageFromFile Transforms
        SRPairedRandomCrop PairedRandomHorizontalFlip PairedRandomVerticalFlip
        PairedRandomTransposeHW Transpose Normalize | PSNR SSIM
    """,
    "makeup": """
        MakeupModel | GeneratorPSGANAttention NLayerDiscriminator | L1Loss MSELoss GANLoss |
        MakeupDataset | |
    """,
    "mprnet_deblurring": """
        MPRModel | MPRNet | CharbonnierLoss EdgeLoss | MPRTrain MPRVal | | PSNR SSIM
    """,
    "mprnet_denoising": """
        MPRModel | MPRNet | CharbonnierLoss EdgeLoss | MPRTrain | | PSNR SSIM
    """,
    "mprnet_deraining": """
        MPRModel | MPRNet | CharbonnierLoss EdgeLoss | MPRTrain | | PSNR SSIM
    """,
    "msvsr_l_reds": """
        MultiStageVSRModel | MSVSR | CharbonnierLoss | RepeatDataset VSRREDSMultipleGTDataset |
        GetNeighboringFramesIdx ReadImageSequence Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW
        TransposeSequence NormalizeSequence | PSNR SSIM
    """,
    "msvsr_reds": """
        MultiStageVSRModel | MSVSR | CharbonnierLoss | RepeatDataset VSRREDSMultipleGTDataset |
        GetNeighboringFramesIdx ReadImageSequence Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW
        TransposeSequence NormalizeSequence | PSNR SSIM
    """,
    "msvsr_vimeo90k_BD": """
        MultiStageVSRModel | MSVSR | CharbonnierLoss | RepeatDataset VSRVimeo90KDataset
        VSRFolderDataset | ReadImageSequence Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW
        TransposeSequence MirrorVideoSequence NormalizeSequence GetNeighboringFramesIdx | PSNR SSIM
    """,
    "nafnet_denoising": """
        NAFNetModel | NAFNet | PSNRLoss | NAFNetTrain NAFNetVal | | PSNR SSIM
    """,
    "pan_psnr_x4_div2k": """
        BaseSRModel | PAN | L1Loss | SRDataset | LoadImageFromFile Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW Transpose
        Normalize | PSNR SSIM
    """,
    "photopen": """
        PhotoPenModel | SPADEGenerator MultiscaleDiscriminator | PhotoPenPerceptualLoss |
        PhotoPenDataset PhotoPenDataset_test | |
    """,
    "pix2pix_cityscapes": """
        Pix2PixModel | UnetGenerator NLayerDiscriminator | L1Loss GANLoss | PairedDataset |
        LoadImageFromFile SplitPairedImage Transforms Resize PairedRandomCrop
        PairedRandomHorizontalFlip Transpose Normalize | FID
    """,
    "pix2pix_cityscapes_2gpus": """
        Pix2PixModel | UnetGenerator NLayerDiscriminator | L1Loss GANLoss | PairedDataset |
        LoadImageFromFile SplitPairedImage Transforms Resize PairedRandomCrop
        PairedRandomHorizontalFlip Transpose Normalize | FID
    """,
    "pix2pix_facades": """
        Pix2PixModel | UnetGenerator NLayerDiscriminator | L1Loss GANLoss | PairedDataset |
        LoadImageFromFile SplitPairedImage Transforms Resize PairedRandomCrop
        PairedRandomHorizontalFlip Transpose Normalize | FID
    """,
    "prenet": """
        PReNetModel | PReNet | SSIM | SRDataset | LoadImageFromFile Transforms
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW PairedRandomCrop
        PairedToTensor | PSNR SSIM
    """,
    "rcan_rssr_x4": """
        RCANModel | RCAN | L1Loss | SRDataset | LoadImageFromFile Transforms SRPairedRandomCrop
        PairedRandomHorizontalFlip PairedRandomVerticalFlip PairedRandomTransposeHW Transpose
        Normalize | PSNR SSIM
    """,
    "realsr_bicubic_noise_x4_df2k": """
        ESRGAN | RRDBNet VGGDiscriminator128 | L1Loss PerceptualLoss GANLoss | SRDataset |
        LoadImageFromFile Transforms SRPairedRandomCrop PairedRandomHorizontalFlip
        PairedRandomVerticalFlip PairedRandomTransposeHW Transpose Normalize SRNoise | PSNR SSIM
    """,
    "realsr_kernel_noise_x4_dped": """
        ESRGAN | RRDBNet VGGDiscriminator128 | L1Loss PerceptualLoss GANLoss | SRDataset |
        LoadImageFromFile Transforms SRPairedRandomCrop PairedRandomHorizontalFlip
        PairedRandomVerticalFlip PairedRandomTransposeHW Transpose Normalize SRNoise | PSNR SSIM
    """,
    "singan_animation": """
        SinGANModel | SinGANGenerator SinGANDiscriminator | GANLoss MSELoss GradientPenalty |
        EmptyDataset SingleDataset | LoadImageFromFile Transforms Transpose Normalize | FID
    """,
    "singan_finetune": """
        SinGANModel | SinGANGenerator SinGANDiscriminator | GANLoss MSELoss GradientPenalty |
        EmptyDataset SingleDataset | LoadImageFromFile Transforms Transpose Normalize |
    """,
    "singan_sr": """
        SinGANModel | SinGANGenerator SinGANDiscriminator | GANLoss MSELoss GradientPenalty |
        EmptyDataset SingleDataset | LoadImageFromFile Transforms Transpose Normalize | FID
    """,
    "singan_universal": """
        SinGANModel | SinGANGenerator SinGANDiscriminator | GANLoss MSELoss GradientPenalty |
        EmptyDataset SingleDataset | LoadImageFromFile Transforms Transpose Normalize | FID
    """,
    "starganv2_afhq": """
        StarGANv2Model | StarGANv2Generator StarGANv2Style StarGANv2Mapping StarGANv2Discriminator |
        | StarGANv2Dataset | LoadImageFromFile Transforms RandomResizedCropProb Resize
        RandomHorizontalFlip Transpose Normalize |
    """,
    "starganv2_celeba_hq": """
        StarGANv2Model | StarGANv2Generator StarGANv2Style StarGANv2Mapping FAN
        StarGANv2Discriminator | | StarGANv2Dataset | LoadImageFromFile Transforms
        RandomResizedCropProb Resize RandomHorizontalFlip Transpose Normalize |
    """,
    "stylegan_v2_256_ffhq": """
        StyleGAN2Model | StyleGANv2Generator StyleGANv2Discriminator | GANLoss | SingleDataset |
        LoadImageFromFile Transforms RandomHorizontalFlip Transpose Normalize | FID
    """,
    "swinir_denoising": """
        SwinIRModel | SwinIR | CharbonnierLoss | SwinIRDataset | | PSNR SSIM
    """,
    "ugatit_photo2cartoon": """
        UGATITModel | ResnetUGATITP2CGenerator UGATITDiscriminator | L1Loss MSELoss
        BCEWithLogitsLoss | UnpairedDataset | LoadImageFromFile Transforms Resize RandomCrop
        RandomHorizontalFlip Transpose Normalize |
    """,
    "ugatit_selfie2anime_light": """
        UGATITModel | ResnetUGATITGenerator UGATITDiscriminator | L1Loss MSELoss BCEWithLogitsLoss |
        UnpairedDataset | LoadImageFromFile Transforms Resize RandomCrop RandomHorizontalFlip
        Transpose Normalize |
    """,
    "wav2lip": """
        Wav2LipModel | Wav2Lip SyncNetColor | | Wav2LipDataset | |
    """,
    "wav2lip_hq": """
        Wav2LipModelHq | Wav2Lip SyncNetColor Wav2LipDiscQual | | Wav2LipDataset | |
    """,
    "wgan_mnist": """
        GANModel | DeepConvGenerator NLayerDiscriminator | GANLoss | CommonVisionDataset | Normalize
        |
    """,
}
