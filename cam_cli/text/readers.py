"""Table of networks: maps the class of a network to its `Reader` for captions or questions, or to the reason why it has
none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import CamxError, first_line
from ..models.hf.library import quiet, transformers
from ..models.hf.text_network import TextNetwork
from .cross_attention import Blip, Decoder
from .families import Family, end_tokens, start_token
from .options import GAP
from .queries import Queries
from .reader import Reader
from .sequences import Git, Placeholders
from .vilt import Vilt, check_vilt
from .writer import Writer

#: (a network, the text around each prompt; "" for the network's own) → its reader.
Build = Callable[[TextNetwork, str], Reader]
BuildWriter = Callable[[TextNetwork, str], Writer]
#: Most pieces for a network without a limit in its configuration.
_LONGEST = 2048

_VISION = Family("vision_model")
_PROJECTOR = Family("model.multi_modal_projector")
# A normalisation ends the projection. In front of it the product of tokens and gradients would be nearly 0.
_GIT = Family("git.image_encoder", projection="git.visual_projection")


def _decoder(found: TextNetwork, template: str) -> Writer:
    start = start_token(found.network.module)
    return Decoder(**_common(found, Family("encoder"), template), start=start, ids="decoder_input_ids")


def _blip_decoder(found: TextNetwork, template: str) -> Writer:
    text = _config(found).text_config
    ends = (int(text.eos_token_id),)
    common = _common(found, _VISION, template)
    return Decoder(**common, start=int(text.bos_token_id), ids="input_ids", end=ends)


def _blip(found: TextNetwork, template: str) -> Writer:
    text = _config(found).text_config
    return Blip(**_common(found, _VISION, template), pad=int(text.pad_token_id or 0), start=int(text.bos_token_id))


def _git_captions(found: TextNetwork, template: str) -> Writer:
    return Git(**_common(found, _GIT, template), start=start_token(found.network.module))


def _git(found: TextNetwork, template: str) -> Writer:
    own = found.tokenizer.cls_token_id
    start = start_token(found.network.module) if own is None else int(own)
    return Git(**_common(found, _GIT, template), start=start)


def _vilt(found: TextNetwork, template: str) -> Reader:
    config = _config(found)
    check_vilt(config, found.network.name)
    answers = {int(number): str(name) for number, name in config.id2label.items()}
    return Vilt(found.tokenizer, answers, config.max_position_embeddings, template or GAP)


def _llava(found: TextNetwork, template: str) -> Writer:
    return _placeholders(found, template, f"USER: <image>\n{GAP} ASSISTANT:")


def _paligemma(found: TextNetwork, template: str) -> Writer:
    return _placeholders(found, template, GAP, between="")


def _queries(found: TextNetwork, template: str) -> Writer:
    config = _config(found)
    start = None if config.use_decoder_only_language_model else int(config.text_config.decoder_start_token_id)
    return Queries(**_common(found, _VISION, template), processor=_processor(found), start=start)


_BRIEFLY = "Provide a one-sentence caption for the provided image."
#: Classes that write captions, with their default prompts.
_CAPTIONERS: dict[str, tuple[BuildWriter, str]] = {
    "VisionEncoderDecoderModel": (_decoder, ""),
    "BlipForConditionalGeneration": (_blip_decoder, ""),
    "GitForCausalLM": (_git_captions, ""),
    "LlavaForConditionalGeneration": (_llava, _BRIEFLY),
    "InternVLForConditionalGeneration": (_llava, _BRIEFLY),
    "PaliGemmaForConditionalGeneration": (_paligemma, "caption en"),
    "Blip2ForConditionalGeneration": (_queries, ""),
    "InstructBlipForConditionalGeneration": (_queries, "A short image description."),
}
#: Classes that answer questions, with the text around a question if the processor has no template.
_ANSWERERS: dict[str, tuple[Build, str]] = {
    "ViltForQuestionAnswering": (_vilt, ""),
    "BlipForQuestionAnswering": (_blip, ""),
    "GitForCausalLM": (_git, ""),
    "LlavaForConditionalGeneration": (_llava, ""),
    "InternVLForConditionalGeneration": (_llava, ""),
    "PaliGemmaForConditionalGeneration": (_paligemma, f"answer en {GAP}"),
    "Blip2ForConditionalGeneration": (_queries, f"Question: {GAP} Answer:"),
    "InstructBlipForConditionalGeneration": (_queries, ""),
}
#: Names of the classes, and of those that accept images of several sizes.
CAPTIONERS, ANSWERERS, VARYING = tuple(_CAPTIONERS), tuple(_ANSWERERS), ("ViltForQuestionAnswering",)

_TILES = "it cuts an image into several tiles, and camx has one map per image"
_PACKED = "it packs the patches of an image of any size into one sequence without a grid"
_QUERIES = "its text reads 64 queries, which lie nowhere in the image"
_NEITHER = {
    "LlavaNextForConditionalGeneration": _TILES,
    "LlavaOnevisionForConditionalGeneration": _TILES,
    "Idefics3ForConditionalGeneration": _TILES,
    "SmolVLMForConditionalGeneration": _TILES,
    "Qwen2VLForConditionalGeneration": _PACKED,
    "Qwen2_5_VLForConditionalGeneration": _PACKED,
    "Qwen3VLForConditionalGeneration": _PACKED,
    "Pix2StructForConditionalGeneration": _PACKED,
    "Kosmos2ForConditionalGeneration": _QUERIES,
    "Idefics2ForConditionalGeneration": _QUERIES,
}
_ANSWERS = "it answers questions, for `camx ask`"
_CAPTIONS = "it takes no question; `camx caption` explains its captions"
#: Reasons for unsupported classes.
REFUSED_CAPTIONERS = {**_NEITHER, "BlipForQuestionAnswering": _ANSWERS, "ViltForQuestionAnswering": _ANSWERS}
REFUSED_ANSWERERS = {**_NEITHER, "BlipForConditionalGeneration": _CAPTIONS, "VisionEncoderDecoderModel": _CAPTIONS}


def captioner_of(found: TextNetwork, prompt: str) -> tuple[Writer, str]:
    """Reader of a network that writes captions, and the prompt. prompt: "" for the default of the network. A prompt
    with the image token is the whole text before the caption."""
    build, usual = _CAPTIONERS[found.kind]
    token = str(getattr(found.tokenizer, "image_token", "<image>"))
    return build(found, prompt if token in prompt else ""), prompt or usual


def answerer_of(found: TextNetwork, template: str) -> Reader:
    """Reader of a network that answers questions. template: text around each question; "" for the default."""
    build, usual = _ANSWERERS[found.kind]
    return build(found, template or usual)


def _config(found: TextNetwork) -> Any:
    return found.network.module.config


def _common(found: TextNetwork, family: Family, template: str) -> dict[str, Any]:
    """Fields of every `Writer`."""
    config = _config(found)
    text = getattr(config, "text_config", None) or getattr(config, "decoder", None) or config
    longest = getattr(text, "max_position_embeddings", None) or _LONGEST
    image = getattr(config, "image_token_id", None)
    image = getattr(config, "image_token_index", None) if image is None else image
    return {
        "library": transformers(found.network.name),
        "tokenizer": found.tokenizer,
        "family": family,
        "ends": end_tokens(found.network.module, found.tokenizer),
        "longest": int(longest),
        "template": template or GAP,
        "image": None if image is None else int(image),
    }


def _placeholders(found: TextNetwork, template: str, usual: str, between: str = "\n") -> Writer:
    processor = _processor(found)
    own = "" if getattr(processor, "chat_template", None) else usual
    reader = Placeholders(
        **_common(found, _PROJECTOR, template or own),
        processor=processor,
        size=found.network.preprocessing.input_size,
        between=between,
    )
    with quiet(reader.library):
        reader.check_tiles()
    return reader


def _processor(found: TextNetwork) -> Any:
    library = transformers(found.network.name)
    try:
        with quiet(library):
            return library.AutoProcessor.from_pretrained(found.folder, trust_remote_code=False, local_files_only=True)
    # A processor may raise anything on unsuitable files.
    except Exception as error:
        raise CamxError(
            f"The processor of {found.network.name!r} cannot be read: {first_line(error)}.",
            "Its files (processor_config.json, tokenizer.json) must lie beside the network.",
        ) from error
