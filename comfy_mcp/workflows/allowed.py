"""What the graph of a front end may hold: the node classes, and the names of files in them.

Owns the list of classes. It holds the usual nodes that ComfyUI itself brings to load a model, write a prompt, sample,
and work on latents, masks and pictures. Each of them reads only what its choices offer or a picture that was uploaded,
keeps nothing but pictures, and neither runs code nor reaches a network. Left out are those that save or train models,
read or list folders, make text from patterns, or keep other files. Used by the workbench.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from comfy_mcp.errors import NotAllowed, WorkflowRejected
from comfy_mcp.jobs import Graph
from comfy_mcp.workflows.graph import is_link
from comfy_mcp.workflows.object_info import InputInfo, ObjectInfo
from comfy_mcp.workflows.paths import is_plain_name, takes_file_name

__all__ = ["USUAL_NODES", "pictures_in", "refuse_paths", "refuse_unusual"]

_LOADERS = """
    CheckpointLoaderSimple CLIPLoader CLIPVisionLoader ControlNetLoader DiffControlNetLoader DualCLIPLoader GLIGENLoader
    HypernetworkLoader ImageOnlyCheckpointLoader LoraLoader LoraLoaderModelOnly ModelPatchLoader PhotoMakerLoader
    QuadrupleCLIPLoader StyleModelLoader TripleCLIPLoader UNETLoader UpscaleModelLoader VAELoader unCLIPCheckpointLoader
"""
_PROMPTS = """
    CLIPSetLastLayer CLIPTextEncode CLIPTextEncodeControlnet CLIPTextEncodeFlux CLIPTextEncodeHiDream
    CLIPTextEncodeHunyuanDiT CLIPTextEncodeLumina2 CLIPTextEncodePixArtAlpha CLIPTextEncodeSD3 CLIPTextEncodeSDXL
    CLIPTextEncodeSDXLRefiner CLIPVisionEncode ConditioningAverage ConditioningCombine ConditioningConcat
    ConditioningSetArea ConditioningSetAreaPercentage ConditioningSetAreaStrength ConditioningSetMask
    ConditioningSetTimestepRange ConditioningZeroOut ControlNetApply ControlNetApplyAdvanced ControlNetApplySD3
    ControlNetInpaintingAliMamaApply FluxDisableGuidance FluxGuidance FluxKontextMultiReferenceLatentMethod
    GLIGENTextBoxApply InpaintModelConditioning InstructPixToPixConditioning LotusConditioning PhotoMakerEncode
    ReferenceLatent SD_4XUpscale_Conditioning SetUnionControlNetType StyleModelApply T5TokenizerOptions
    TextEncodeQwenImageEdit TextEncodeQwenImageEditPlus unCLIPConditioning PrimitiveBoolean PrimitiveFloat PrimitiveInt
    PrimitiveString PrimitiveStringMultiline
"""
_LATENTS = """
    EmptyChromaRadianceLatentImage EmptyHunyuanImageLatent EmptyLatentImage EmptySD3LatentImage HunyuanRefinerLatent
    LatentAdd LatentApplyOperation LatentApplyOperationCFG LatentBatch LatentBatchSeedBehavior LatentBlend
    LatentComposite LatentCompositeMasked LatentConcat LatentCrop LatentCut LatentFlip LatentFromBatch LatentInterpolate
    LatentMultiply LatentOperationSharpen LatentOperationTonemapReinhard LatentRotate LatentSubtract LatentUpscale
    LatentUpscaleBy RebatchLatents RepeatLatentBatch SetLatentNoiseMask StableCascade_EmptyLatentImage
    StableCascade_StageB_Conditioning StableCascade_StageC_VAEEncode StableCascade_SuperResolutionControlnet VAEDecode
    VAEDecodeTiled VAEEncode VAEEncodeForInpaint VAEEncodeTiled
"""
_SAMPLING = """
    AddNoise AlignYourStepsScheduler APG BasicGuider BasicScheduler BetaSamplingScheduler CFGGuider CFGNorm CFGZeroStar
    DifferentialDiffusion DisableNoise DualCFGGuider EasyCache ExponentialScheduler ExtendIntermediateSigmas FlipSigmas
    FreeU FreeU_V2 FreSca GITSScheduler HyperTile KarrasScheduler KSampler KSamplerAdvanced KSamplerSelect
    LaplaceScheduler LazyCache Mahiro ModelComputeDtype ModelMergeAdd ModelMergeBlocks ModelMergeSimple
    ModelMergeSubtract CLIPMergeAdd CLIPMergeSimple CLIPMergeSubtract ModelSamplingAuraFlow ModelSamplingContinuousEDM
    ModelSamplingContinuousV ModelSamplingDiscrete ModelSamplingFlux ModelSamplingSD3 ModelSamplingStableCascade
    OptimalStepsScheduler PatchModelAddDownscale PerpNeg PerpNegGuider PerturbedAttentionGuidance
    PolyexponentialScheduler QwenImageDiffsynthControlnet RandomNoise RenormCFG RescaleCFG SamplerCustom
    SamplerCustomAdvanced SamplerDPMAdaptative SamplerDPMPP_2M_SDE SamplerDPMPP_2S_Ancestral SamplerDPMPP_3M_SDE
    SamplerDPMPP_SDE SamplerER_SDE SamplerEulerAncestral SamplerEulerAncestralCFGPP SamplerEulerCFGpp SamplerLCMUpscale
    SamplerLMS SamplerSASolver SamplingPercentToSigma SDTurboScheduler SelfAttentionGuidance SetFirstSigma
    SkipLayerGuidanceDiT SkipLayerGuidanceDiTSimple SkipLayerGuidanceSD3 SplitSigmas SplitSigmasDenoise TCFG
    TomePatchModel USOStyleReference VPScheduler
"""
_PICTURES = """
    Canny CropMask EmptyImage FeatherMask FluxKontextImageScale GetImageSize GrowMask ImageAddNoise ImageBatch
    ImageBlend ImageBlur ImageColorToMask ImageCompositeMasked ImageCrop ImageFlip ImageFromBatch ImageInvert
    ImagePadForOutpaint ImageQuantize ImageRGBToYUV ImageRotate ImageScale ImageScaleBy ImageScaleToMaxDimension
    ImageScaleToTotalPixels ImageSharpen ImageStitch ImageToMask ImageUpscaleWithModel ImageYUVToRGB InvertMask
    JoinImageWithAlpha LoadImage LoadImageMask MaskComposite MaskToImage Morphology PorterDuffImageComposite
    PreviewImage RebatchImages RepeatImageBatch ResizeAndPadImage SaveImage SolidMask SplitImageWithAlpha ThresholdMask
"""
USUAL_NODES = frozenset(f"{_LOADERS} {_PROMPTS} {_LATENTS} {_SAMPLING} {_PICTURES}".split())
"""Classes that any graph may hold (nodes.py and comfy_extras/ of ComfyUI 0.3.64); other packs may not replace those
of nodes.py, since ComfyUI itself leaves them alone."""


def refuse_unusual(graph: Graph, more: Collection[str]) -> None:
    """Refuse every class but the usual ones and ``more``. Raises NotAllowed."""
    for node, content in graph.items():
        name = str(content["class_type"])
        if name not in USUAL_NODES and name not in more:
            raise NotAllowed(
                f"Graphs may not hold the node {name[:100]!r} (node {node[:64]}).",
                hint="Leave it out, or add its class to the setting graph_nodes.",
                node=node,
                node_class=name[:200],
            )


def pictures_in(graph: Graph, info: ObjectInfo) -> dict[str, tuple[tuple[str, str], ...]]:
    """The places of uploaded files by the name that is there. Raises WorkflowRejected for what is no name."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for node, told in _inputs(graph, info):
        value = graph[node]["inputs"].get(told.name)
        if value is not None and told.takes_upload:
            if not isinstance(value, str):
                raise _refused(graph, node, told, "must be the name of a picture that was uploaded")
            found[value].append((node, told.name))
    return {name: tuple(places) for name, places in found.items()}


def refuse_paths(graph: Graph, info: ObjectInfo) -> None:
    """Refuse names of files that could lead out of ComfyUI's folders, or that only a run would tell.

    Raises:
        WorkflowRejected: the details name node and input.
    """
    for node, told in _inputs(graph, info):
        value = graph[node]["inputs"].get(told.name)
        if value is None or told.type not in ("STRING", "COMBO") or not takes_file_name(told.name):
            continue
        if is_link(value) or (told.type == "STRING" and not (isinstance(value, str) and is_plain_name(value))):
            raise _refused(graph, node, told, "is not a plain file name")


def _inputs(graph: Graph, info: ObjectInfo) -> Iterator[tuple[str, InputInfo]]:
    for node, content in graph.items():
        for told in info.node(content["class_type"]).unfolded(content["inputs"]):
            yield node, told


def _refused(graph: Graph, node: str, told: InputInfo, reason: str) -> WorkflowRejected:
    name = str(graph[node]["class_type"])
    return WorkflowRejected(
        f"{name} (node {node}): {told.name} {reason}.",
        hint="Upload the picture first and give the name that was answered.",
        node=node,
        node_class=name,
        input=told.name,
    )
