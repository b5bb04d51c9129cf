"""The class of a network → its `Reader`, and why other classes answer no question here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import CamxError, first_line
from ..models.hf.library import quiet, transformers
from ..models.hf.text_network import TextNetwork
from .answer_families import Blip, Git, Placeholders, ends_of, start_of
from .families import CAPTIONERS, REFUSED, Family
from .options import GAP
from .queries import Queries
from .questions import Reader
from .vilt import Vilt, check_vilt

#: Pieces that a network reads whose configuration names no limit.
_LONGEST = 2048

_VISION = Family("vision_model", "input_ids", prefixed=False)
_PROJECTOR = Family("model.multi_modal_projector", "input_ids", prefixed=True)
#: Prompts of checkpoints that answer questions, where the processor has no template.
_LLAVA, _PALIGEMMA, _BLIP2 = f"USER: <image>\n{GAP} ASSISTANT:", f"answer en {GAP}", f"Question: {GAP} Answer:"


def _blip(found: TextNetwork, template: str) -> Reader:
    text = _config(found).text_config
    return Blip(**_common(found, _VISION, template), pad=int(text.pad_token_id or 0), start=int(text.bos_token_id))


def _git(found: TextNetwork, template: str) -> Reader:
    start = start_of(found.network.module, found.tokenizer)
    return Git(**_common(found, CAPTIONERS["GitForCausalLM"], template), start=start)


def _vilt(found: TextNetwork, template: str) -> Reader:
    config = _config(found)
    check_vilt(config, found.network.name)
    answers = {int(number): str(name) for number, name in config.id2label.items()}
    return Vilt(found.tokenizer, answers, config.max_position_embeddings, template or GAP)


def _llava(found: TextNetwork, template: str) -> Reader:
    return _placeholders(found, template, _LLAVA)


def _paligemma(found: TextNetwork, template: str) -> Reader:
    return _placeholders(found, template, _PALIGEMMA)


def _blip2(found: TextNetwork, template: str) -> Reader:
    return _queries(found, template or _BLIP2)


def _instructblip(found: TextNetwork, template: str) -> Reader:
    return _queries(found, template or GAP)


_READERS: dict[str, Callable[[TextNetwork, str], Reader]] = {
    "ViltForQuestionAnswering": _vilt,
    "BlipForQuestionAnswering": _blip,
    "GitForCausalLM": _git,
    "LlavaForConditionalGeneration": _llava,
    "PaliGemmaForConditionalGeneration": _paligemma,
    "InternVLForConditionalGeneration": _llava,
    "Blip2ForConditionalGeneration": _blip2,
    "InstructBlipForConditionalGeneration": _instructblip,
}
#: Names of the classes that answer questions, and those of them that take images of several sizes.
ANSWERERS, VARYING = tuple(_READERS), ("ViltForQuestionAnswering",)
_CAPTIONS = "it takes no question; `camx caption` explains its captions"
REFUSED_ANSWERERS = {
    **{name: reason for name, reason in REFUSED.items() if name not in _READERS},
    "BlipForConditionalGeneration": _CAPTIONS,
    "VisionEncoderDecoderModel": _CAPTIONS,
}


def reader_of(found: TextNetwork, template: str) -> Reader:
    """The reader of a network. template: the text around each question; "" for the network's own."""
    return _READERS[found.kind](found, template)


def _config(found: TextNetwork) -> Any:
    return found.network.module.config


def _common(found: TextNetwork, family: Family, template: str) -> dict[str, Any]:
    """The fields of every `Writer`."""
    config = _config(found)
    text = getattr(config, "text_config", None) or config
    longest = getattr(text, "max_position_embeddings", None) or _LONGEST
    return {
        "library": transformers(found.network.name),
        "tokenizer": found.tokenizer,
        "family": family,
        "ends": ends_of(found.network.module, found.tokenizer),
        "longest": int(longest),
        "template": template or GAP,
    }


def _placeholders(found: TextNetwork, template: str, usual: str) -> Reader:
    processor = _processor(found)
    own = "" if getattr(processor, "chat_template", None) else usual
    height, width = found.network.preprocessing.input_size
    config = _config(found)
    place = getattr(config, "image_token_id", None)
    return Placeholders(
        **_common(found, _PROJECTOR, template or own),
        processor=processor,
        place=int(config.image_token_index if place is None else place),
        sizes=((height, width), (height, 3 * width)),
    )


def _queries(found: TextNetwork, template: str) -> Reader:
    config = _config(found)
    start = None if config.use_decoder_only_language_model else int(config.text_config.decoder_start_token_id)
    return Queries(**_common(found, _VISION, template), processor=_processor(found), start=start)


def _processor(found: TextNetwork) -> Any:
    library = transformers(found.network.name)
    try:
        with quiet(library):
            return library.AutoProcessor.from_pretrained(found.folder, trust_remote_code=False, local_files_only=True)
    # A processor raises whatever its author likes on files that do not suit it.
    except Exception as error:
        raise CamxError(
            f"The processor of {found.network.name!r} cannot be read: {first_line(error)}.",
            "Its files (processor_config.json, tokenizer.json) must lie beside the network.",
        ) from error
