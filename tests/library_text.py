"""A network that writes text as a user of the transformers library runs it: the definition of scores and maps."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from PIL import Image
from torch import Tensor, nn

from tests.answer_networks import LABELS, PLACEHOLDERS, QUERIES
from tools.tiny_answerer import BOS

#: What stands around a question.
AROUND = {"paligemma": "<image>answer en {}", "blip2": "Question: {} Answer:", "blip2_t5": "Question: {} Answer:"}
AROUND |= dict.fromkeys(("llava", "internvl"), "<image> {} ")
#: Inputs of the library that are texts.
_TEXTS = ("input_ids", "attention_mask", "token_type_ids", "qformer_input_ids", "qformer_attention_mask")


class Attended(NamedTuple):
    """A forward. scores: A×K at the places of a text. nodes: attentions 1×heads×queries×keys, with the rows of all
    text, those that predict its pieces, and the columns of the image."""

    scores: Tensor
    nodes: list[Tensor]
    text: slice
    writing: slice
    columns: slice


class Library:
    """A saved network. question: the text of the prompt. around: what stands around it."""

    def __init__(self, name: str, folder: Path, question: str, around: str | None = None) -> None:
        self.name, self.question = name, question
        self.around = AROUND.get(name, "{}") if around is None else around
        config = json.loads((folder / "config.json").read_text())
        kind = getattr(transformers, config["architectures"][0])
        self.network = kind.from_pretrained(folder).eval()
        self.pixels = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
        whole = name in PLACEHOLDERS or name in QUERIES
        self.processor = transformers.AutoProcessor.from_pretrained(folder) if whole else None
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def inputs(self, image: Image.Image) -> dict[str, Tensor]:
        found = dict(self.pixels(images=image, return_tensors="pt"))
        text = self.around.format(self.question)
        if self.processor is not None:
            more = {"crop_to_patches": False} if self.name == "internvl" else {}
            words = self.processor(text=[text], images=[image], return_tensors="pt", **more)
            return {"pixel_values": found["pixel_values"]} | {key: words[key] for key in _TEXTS if key in words}
        ids = self.tokenizer(text).input_ids
        if self.name == "git":
            ids = [BOS, *self.tokenizer(text, add_special_tokens=False).input_ids]
        return found | {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}

    def written(self, image: Image.Image, most: int = 4) -> str:
        given = self.inputs(image)
        if self.name == "vilt":
            return LABELS[int(self.network(**given).logits.argmax())]
        (found,) = self.network.generate(**given, do_sample=False, max_new_tokens=most)
        before = given["input_ids"][0].tolist() if "input_ids" in given else []
        ids = found.tolist()
        ids = ids[len(before) :] if ids[: len(before)] == before else ids
        image = getattr(self.processor, "image_token_id", None)
        if image in ids:
            ids = ids[: ids.index(image)]  # the library itself cannot read a text with that token again
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def scores(self, image: Image.Image, answer: list[int], **more: Any) -> tuple[Tensor, Any]:
        """Scores A×K at the places of an answer, and the output of the library."""
        given = self.inputs(image)
        if self.name == "vilt":
            found = self.network(**given, **more)
            return found.logits, found
        if self.name == "blip":
            kept: list[Any] = []
            hook = self.network.text_decoder.register_forward_hook(lambda *parts: kept.append(parts[2]))
            before = torch.tensor([[BOS, *answer[:-1]]])
            found = self.network(**given, decoder_input_ids=before, **more)
            hook.remove()
            return kept[0].logits[0], found
        if self.name == "blip2_t5":
            start = self.network.config.text_config.decoder_start_token_id
            found = self.network(**given, decoder_input_ids=torch.tensor([[start, *answer[:-1]]]), **more)
            return found.logits[0], found
        ids = torch.cat([given["input_ids"], torch.tensor([answer[:-1]], dtype=torch.long)], 1)
        given |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if "token_type_ids" in given:
            types = torch.ones(1, len(answer) - 1, dtype=torch.long)
            given["token_type_ids"] = torch.cat([given["token_type_ids"], types], 1)
        found = self.network(**given, **more)
        return found.logits[0, -len(answer) :], found

    def score_of(self, scores: Tensor, answer: list[int], opposite: int | None) -> Tensor:
        """The score of an answer that its map explains."""
        if opposite is not None:
            return scores[0, answer[0]] - scores[0, opposite]
        return self.logs_of(scores, answer).sum()

    def logs_of(self, scores: Tensor, answer: list[int]) -> Tensor:
        """The log-probability of each piece."""
        logs = scores.sigmoid().log() if self.name == "vilt" else scores.log_softmax(-1)
        return logs[range(len(answer)), answer]

    def attended(self, image: Image.Image, answer: list[int]) -> Attended:
        """The scores of an answer, and the attentions of the library."""
        self.network.set_attn_implementation("eager")
        if self.name == "blip":
            with self.kept(one.crossattention.self for one in self.network.text_encoder.encoder.layer) as nodes:
                scores, _ = self.scores(image, answer)
            return Attended(scores, nodes, slice(None), slice(0), slice(None))
        with pytest.MonkeyPatch.context() as patched:
            # ViLT draws its patches in a random order.
            patched.setattr(torch, "multinomial", lambda weights, count: torch.arange(count))
            scores, found = self.scores(image, answer, output_attentions=True)
        nodes, given = list(found.attentions), self.inputs(image)
        whole, text = nodes[0].shape[-1], given["input_ids"].shape[1]
        writing = slice(whole - len(answer), None)
        if self.name == "git":
            images = whole - text - len(answer) + 1
            return Attended(scores, nodes, slice(images, None), writing, slice(images))
        if self.name == "vilt":
            return Attended(scores, nodes, slice(text), slice(0), slice(text, None))
        places = (given["input_ids"][0] == self.network.config.image_token_id).nonzero().flatten()
        columns = slice(int(places[0]), int(places[-1]) + 1)
        return Attended(scores, nodes, slice(columns.stop, None), writing, columns)

    @staticmethod
    @contextlib.contextmanager
    def kept(modules: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
        """The attentions of modules, of which the library's BLIP returns none."""
        found: list[Tensor] = []
        hooks = [one.register_forward_hook(lambda _m, _i, output: found.append(output[1])) for one in modules]
        yield found
        for hook in hooks:
            hook.remove()

    def attention_gradient(self, image: Image.Image, answer: list[int], opposite: int | None) -> Tensor:
        """Attention × positive gradient from all places of the text behind the image, or from the question."""
        one = self.attended(image, answer)
        gradients = torch.autograd.grad(self.score_of(one.scores, answer, opposite), one.nodes)
        found = [(node * more.relu())[0, :, one.text, one.columns] for node, more in zip(one.nodes, gradients)]
        return torch.stack([each.sum(1).mean(0) for each in found]).sum(0).detach()

    def word_map(self, image: Image.Image, text: list[int], pieces: Sequence[int]) -> Tensor:
        """Attention × positive gradient of a word, from the places that predict its pieces."""
        one = self.attended(image, text)
        gradients = torch.autograd.grad(self.logs_of(one.scores, text)[[*pieces]].sum(), one.nodes)
        found = [(node * more.relu())[0, :, one.writing, one.columns] for node, more in zip(one.nodes, gradients)]
        return torch.stack([each[:, [*pieces]].mean((0, 1)) for each in found]).sum(0).detach()

    def hirescam(self, image: Image.Image, tower: str, score: Callable[[Tensor], Tensor], text: list[int]) -> Tensor:
        """Image tokens × gradient: the output of the module that makes them becomes a leaf. score: of the scores A×K."""
        kept: list[Tensor] = []

        def keep(_module: Any, _inputs: Any, output: Any) -> Any:
            tokens = output if isinstance(output, Tensor) else output.last_hidden_state
            kept.append(tokens.detach().requires_grad_())
            if isinstance(output, Tensor):
                return kept[0]
            output.last_hidden_state = kept[0]
            return output

        hook = self.network.get_submodule(tower).register_forward_hook(keep)
        scores, _ = self.scores(image, text)
        hook.remove()
        (gradient,) = torch.autograd.grad(score(scores), kept[0])
        return (gradient * kept[0]).sum(-1)[0].detach()


class CaptionLibrary(Library):
    """A network of `tests.text_networks` that writes captions."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder, "")

    def inputs(self, image: Image.Image) -> dict[str, Tensor]:
        return dict(self.pixels(images=image, return_tensors="pt"))

    def written(self, image: Image.Image, most: int = 4) -> str:
        (ids,) = self.network.generate(**self.inputs(image), do_sample=False, max_new_tokens=most)
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def scores(self, image: Image.Image, answer: list[int], **more: Any) -> tuple[Tensor, Any]:
        ids = "decoder_input_ids" if self.name.startswith("vit") else "input_ids"
        found = self.network(**self.inputs(image), **{ids: torch.tensor([[BOS, *answer[:-1]]])}, **more)
        return found.logits[0, -len(answer) :], found

    def attended(self, image: Image.Image, answer: list[int]) -> Attended:
        self.network.set_attn_implementation("eager")
        every = slice(None)
        if self.name == "blip":
            with self.kept(one.crossattention.self for one in self.network.text_decoder.bert.encoder.layer) as nodes:
                scores, _ = self.scores(image, answer)
            return Attended(scores, nodes, every, every, every)
        scores, found = self.scores(image, answer, output_attentions=True)
        if self.name != "git":
            return Attended(scores, list(found.cross_attentions), every, every, every)
        nodes = list(found.attentions)
        images = nodes[0].shape[-1] - len(answer)
        return Attended(scores, nodes, slice(images, None), slice(images, None), slice(images))
