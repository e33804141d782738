"""Ways to break the good plugin: by name, a piece of its source, what replaces it, and the check that must catch it."""

from __future__ import annotations

Mutations = dict[str, tuple[str, str, str]]

DATASET: Mutations = {
    "two samples with one id": ("square-{number:02d}", "square-{number // 3:02d}", "ids-are-unique"),
    "a sample without label": ('("bright", "dark")[number // 2 % 2]', '("bright", "")[number % 2]', "labels-are-valid"),
    "labels that differ in case": ('("bright", "dark")', '("dark", "Dark")', "labels-are-valid"),
    "the order of a set": ("enumerate(names)", "enumerate(set(names))", "order-is-stable"),
    "another order each time": (
        "enumerate(names)",
        "sorted(enumerate(names), key=lambda _: __import__('random').random())",
        "order-is-stable",
    ),
    "groups dealt anew": ("pair-{number // 2}", "pair-{id(self) + number}", "groups-are-stable"),
    "an unknown split": ('columns={"age": "3"}', 'split="training"', "splits-are-valid"),
    "a group on both sides": (
        'columns={"age": "3"}',
        'split=("train", "test")[number % 2]',
        "splits-are-valid",
    ),
    "a number for a text": ('{"age": "3"}', '{"age": 3}', "gives-samples"),
    "the manifest's own column": ('{"age": "3"}', '{"sha256": "3"}', "columns-do-not-clash"),
    "a list": ("for number, name in enumerate(names):", "return []\n        for number, name in []:", "gives-samples"),
    "a picture that can't be read": (
        "number = int(sample.path[1:])",
        "number = int(sample.path[1:])\n        if number == 7: raise OSError('damaged')",
        "images-are-readable",
    ),
    "a picture of floats": (".astype(np.uint8))", ".astype(np.float32))", "images-are-readable"),
    "random pixels": ("np.random.default_rng(number)", "np.random.default_rng()", "reading-changes-nothing"),
    "an unknown setting": ('"training.size": 16', '"training.sise": 16', "suggestions-are-settings"),
    "a file that is not there": (
        "    def load(self",
        "    def file(self, sample):\n        return Path('missing.png')\n\n    def load(self",
        "paths-lead-to-files",
    ),
    "an open file kept": (
        "self.count = count",
        "self.count = count\n        self.file_ = open(__file__)",
        "can-be-pickled",
    ),
}
AUGMENTER: Mutations = {
    "a dropped key": (
        'return {"shift": shift, "flip": flip}',
        'return {"shift": shift} if rng.random() < 0.5 else {"shift": shift, "flip": flip}',
        "copies-have-the-size",
    ),
    "a NumPy number": ("float(rng.uniform(-255", "np.float32(rng.uniform(-255", "draws-are-json"),
    "a field": (
        '{"shift": shift, "flip": flip}',
        '{"shift": shift, "flip": flip, "noise": [shift]}',
        "draws-are-json",
    ),
    "not a number": ("shift = float(", 'shift = float("nan") * float(', "draws-are-json"),
    "NumPy's global generator": (
        "float(rng.uniform(-255",
        "float(np.random.uniform(-255",
        "draws-depend-on-the-key-alone",
    ),
    "torch's global generator": (
        "bool(rng.random() < self.flip)",
        "bool(torch.rand(()) < self.flip)",
        "draws-depend-on-the-key-alone",
    ),
    "remembers its last call": (
        "flip = bool(rng.random() < self.flip)",
        "flip = self.last = not getattr(self, 'last', False)",
        "draws-depend-on-the-key-alone",
    ),
    "a hash of a text": (
        '"flip": flip}',
        '"flip": flip, "salt": hash("salt") % 1000}',
        "draws-depend-on-the-key-alone",
    ),
    "a key that is not used": (
        "shift = float(",
        "rng = np.random.default_rng(0)\n        shift = float(",
        "draws-vary",
    ),
    "float copies": (".astype(np.uint8)\n            copies", "\n            copies", "copies-have-the-size"),
    "fractions of 1": ('+ each["shift"], 0, 255)', "/ 255, 0, 1)", "values-keep-their-range"),
    "noise that turns over": (
        'np.rint(np.clip(values + each["shift"], 0, 255))',
        "((values + np.random.default_rng(0).normal(0, 20, values.shape)) % 256)",
        "values-keep-their-range",
    ),
    "its own size": ("return np.stack(copies)", "return np.stack(copies)[:, :30]", "copies-have-the-size"),
    "channels first": (
        "return np.stack(copies)",
        "return np.stack(copies).transpose(0, 3, 1, 2)",
        "copies-have-the-size",
    ),
    "one channel only": ("return np.stack(copies)", "return np.stack(copies)[..., :1]", "copies-have-the-size"),
    "writes into its input": (
        "height, width, _ = image.shape",
        "height, width, _ = image.shape\n            image[0, 0] = 0",
        "input-is-unchanged",
    ),
    "takes a key out of params": ('each["flip"] else', 'each.pop("flip") else', "input-is-unchanged"),
    "draws while applying": (
        'values + each["shift"]',
        'values + np.random.normal(each["shift"])',
        "copies-are-reproducible",
    ),
    "a mean over the batch": (
        'values + each["shift"]',
        'values + each["shift"] - images.mean() + 100',
        "copies-are-independent-of-the-batch",
    ),
    "always does something": (
        "float(rng.uniform(-255 * self.strength,",
        "float(rng.uniform(-9 - 255 * self.strength,",
        "neutral-changes-nothing",
    ),
    "tensors of their own": ("(values + shifts)", "(values + 1.1 * shifts + 3)", "arrays-and-tensors-agree"),
    "float tensors": (".round().to(torch.uint8)", ".round()", "copies-have-the-size"),
    "writes into the tensor": (
        "values = images[:, :, rows]",
        "images[:, :, 0] = 0\n        values = images[:, :, rows]",
        "input-is-unchanged",
    ),
    "a wrong affine": (
        "    def draw(self",
        "    def affine(self, params):\n        from toolbox.api.augmenter import Affine\n"
        "        return Affine((0.5, 0.0, 0.1, 0.0, 1.0, 0.0))\n\n    def draw(self",
        "affine-equals-apply",
    ),
    "no description": (
        'Field(ge=0, le=1, description="largest change, a share of white")',
        "Field(ge=0, le=1)",
        "documented",
    ),
    "no docstring": ('"""Squashed to the size, brighter or darker, and turned over now and then."""', "", "documented"),
    "no type": (
        'strength: Annotated[float, Field(ge=0, le=1, description="largest change, a share of white")] = 0.2',
        "strength=0.2",
        "typed",
    ),
    "any type": (
        'Annotated[float, Field(ge=0, le=1, description="largest',
        'Annotated[Any, Field(description="largest',
        "typed",
    ),
    "a default out of range": ('share of white")] = 0.2', 'share of white")] = 2', "defaults-valid"),
    "a default that is no value": ('share of white")] = 0.2', 'share of white")] = float("inf")', "defaults-valid"),
    "raises when it is made": ("self.flip = flip", "raise KeyError(flip)", "can-be-built"),
}
AUGMENTER["an open file kept"] = ("self.flip = flip", "self.flip = flip; self.file = open(__file__)", "can-be-pickled")
MIXING: Mutations = {
    "hard targets": (
        "share * targets + rest * targets.roll(1, 0)",
        "share * targets",
        "targets-sum-to-one",
    ),
    "draws while mixing": (
        'share = float(params["share"])',
        "share = float(torch.rand(()))",
        "mixing-is-reproducible",
    ),
    "writes into the batch": (
        "rest = 1 - share",
        "rest = 1 - share\n        images *= share",
        "mixing-is-reproducible",
    ),
    "drops an image": ("return share * images", "return (share * images)[1:]", "batches-keep-their-shape"),
    "double precision": ("share * images + rest", "share * images.double() + rest", "batches-keep-their-shape"),
    "a tensor drawn": ("float(rng.uniform(0.5, 1))", "torch.tensor(rng.uniform(0.5, 1))", "draws-are-json"),
    "a global generator": ("rng.uniform(0.5, 1)", "np.random.uniform(0.5, 1)", "draws-depend-on-the-key-alone"),
}
MODEL: Mutations = {
    "a parameter in two parts": (
        "Parts(trunk, last, own,",
        "Parts(trunk, last | {'trunk.0.bias'}, own,",
        "parts-cover-every-parameter-once",
    ),
    "a parameter in no part": (
        "Parts(trunk, last, own,",
        "Parts(trunk - {'trunk.0.bias'}, last, own,",
        "parts-cover-every-parameter-once",
    ),
    "a parameter that is not there": (
        "Parts(trunk, last, own,",
        "Parts(trunk, last, own | {'fc.bias'},",
        "parts-cover-every-parameter-once",
    ),
    "no head": ("Parts(trunk, last, own,", "Parts(trunk, last | own, frozenset(),", "parts-cover-every-parameter-once"),
    "a tensor that two parts share": (
        "names = [name",
        "module.last[0].bias = module.trunk[0].bias = nn.Parameter(torch.zeros(8))\n"
        "        module.trunk[0] = nn.Conv2d(request.channels, 4, 3, padding=1)\n"
        "        module.trunk[0].weight = nn.Parameter(module.trunk[0].weight.data)\n"
        "        module.last[0].extra = module.trunk[0].bias\n        names = [name",
        "parts-cover-every-parameter-once",
    ),
    "blocks in the wrong order": ("blocks=(trunk, last)", "blocks=(last, trunk)", "blocks-divide-trunk-and-last"),
    "a BatchNorm that never freezes": (
        "        logits = self.head(",
        "        self.trunk[1].training = True\n        logits = self.head(",
        "frozen-stays-frozen",
    ),
    "changes itself when it is used": (
        "        logits = self.head(",
        "        with torch.no_grad():\n            self.trunk[0].bias += 1\n        logits = self.head(",
        "frozen-stays-frozen",
    ),
    "a head without gradients": (
        "self.head(self.last(self.trunk(images)))",
        "self.head(self.last(self.trunk(images))).detach() + self.last[0].bias.sum()",
        "frozen-stays-frozen",
    ),
    "stages that skip a step": (
        "Stages(module.trunk, module.last,",
        "Stages(module.trunk, module.last[2:],",
        "stages-equal-the-module",
    ),
    "stages that are shared out otherwise": (
        "Stages(module.trunk, module.last, module.head)",
        "Stages(nn.Sequential(module.trunk, module.last[0]), module.last[1:], module.head)",
        "stages-use-their-own-parameters",
    ),
    "probabilities": ("return logits", "return logits.softmax(1)", "returns-logits"),
    "a fixed number of classes": ("request.classes)", "2)", "returns-logits"),
    "colours only": ("Net(request.channels, head)", "Net(3, head)", "returns-logits"),
    "no normalisation for grey": ("mean=(0.5,) * request.channels", "mean=(0.5,) * 3", "builds-for-any-task"),
    "evaluation mode": ("names = [name", "module.eval()\n        names = [name", "builds-for-any-task"),
    "half precision": ("names = [name", "module.half()\n        names = [name", "builds-for-any-task"),
    "a seed of its own": (
        "module = Net(",
        "torch.manual_seed(0)\n        module = Net(",
        "weights-follow-the-seed",
    ),
    "a fork with a fixed seed": (
        "module = Net(request.channels, head)",
        "with torch.random.fork_rng():\n            torch.manual_seed(0)\n"
        "            module = Net(request.channels, DenseHead(8, (), request.classes))",
        "weights-follow-the-seed",
    ),
    "weights from the clock": (
        "names = [name",
        "clock = torch.Generator().manual_seed(__import__('time').time_ns() % 2**40)\n"
        "        nn.init.normal_(module.last[0].weight, generator=clock)\n        names = [name",
        "weights-follow-the-seed",
    ),
    "any head will do": ("plan = parse_head(request.head)", "plan = None", "refuses-what-it-cannot-build"),
    "random for pretrained": ("if request.pretrained:", "if False:", "refuses-what-it-cannot-build"),
    "dropout in evaluation": (
        "return logits",
        "return nn.functional.dropout(logits, training=True)",
        "predictions-are-independent",
    ),
    "normalised over the batch": (
        "return logits",
        "return logits - logits.mean(0)",
        "predictions-are-independent",
    ),
    "a way that hangs on a value": (
        "return logits",
        "return logits if float(logits.sum()) > 0 else 2 * logits",
        "can-be-exported",
    ),
    "a size that is none": ("    size = 32", "    size = 0", "size-and-channels-are-valid"),
}
EVALUATOR: Mutations = {
    "labels swapped": (".argmax(1)", ".argmin(1)", "metrics-tell-skill-from-chance"),
    "never wrong": (
        "(evidence.probabilities.argmax(1) == evidence.targets)[order]",
        "np.ones(len(order), bool)",
        "metrics-tell-skill-from-chance",
    ),
    "a metric that is not there": ('{"right": 1.0}', '{"wrong": 1.0}', "metrics-tell-skill-from-chance"),
    "the order it came in": (
        "sorted(range(len(evidence.ids)), key=lambda index: evidence.ids[index])",
        "list(range(len(evidence.ids)))",
        "order-does-not-matter",
    ),
    "resampled without a seed": (
        "np.random.default_rng(evidence.seed)",
        "np.random.default_rng()",
        "depends-on-the-evidence-alone",
    ),
    "NumPy's global generator": ("hits[rng.integers(", "hits[np.random.randint(", "depends-on-the-evidence-alone"),
    "writes into the evidence": (
        "rng = np.random",
        "evidence.probabilities[:] = 0.5\n        rng = np.random",
        "depends-on-the-evidence-alone",
    ),
    "an interval beside the value": (
        "Metric(value, low, high",
        "Metric(value, value + 0.01, 1.0",
        "intervals-contain-the-value",
    ),
    "half an interval": ("Metric(value, low, high", "Metric(value, low, None", "intervals-contain-the-value"),
    "not a number": (
        '"spread": Metric(float(np.std(means)))',
        '"spread": Metric(float("nan"))',
        "fits-into-a-json-file",
    ),
    "a NumPy number": ("Metric(float(np.std(means)))", "Metric(np.float32(np.std(means)))", "fits-into-a-json-file"),
    "an array": ("extra={", 'extra={"hits": hits, ', "fits-into-a-json-file"),
    "a class without samples": (
        "if rare[k] else None",
        "if rare[k] else 1 / int(rare[k])",
        "handles-rare-cases",
    ),
    "images that were not asked for": (
        "rng = np.random",
        "evidence.images(0).load()\n        rng = np.random",
        "returns-an-evaluation",
    ),
    "nothing evaluated": (
        "raise UsageError",
        "return Evaluation({})\n            raise UsageError",
        "refuses-empty-evidence",
    ),
    "a dict": ("return Evaluation(metrics,", "return dict(metrics) or Evaluation(metrics,", "returns-an-evaluation"),
}
TRACKER: Mutations = {
    "always expects a validation loss": ('"unknown" if line["val_loss"] is None else ', "", "follows-a-run"),
    "only starts afresh": (
        "    self.path = folder",
        "    assert not history\n        self.path = folder",
        "follows-a-resumed-run",
    ),
    "can't resume in the same folder": (
        '"lines.txt"\n',
        '"lines.txt"\n        self.path.touch(exist_ok=False)\n',
        "follows-a-resumed-run",
    ),
    "always expects an evaluation": (
        'evaluation["metrics"] if evaluation else {}',
        'evaluation["metrics"]',
        "follows-a-failed-run",
    ),
    "takes a key out of the record": ("{record['model']}", "{record.pop('model')}", "changes-nothing-of-the-run"),
    "rounds the evaluation": (
        "evaluation else {}",
        "evaluation else {}\n        for metric in metrics.values(): metric['low'] = None",
        "changes-nothing-of-the-run",
    ),
}
ENGINE: Mutations = {
    "backwards": ("in items:", "in reversed(list(items)):", "results-keep-the-order"),
    "drops the last item": ("in items:", "in list(items)[:-1]:", "results-keep-the-order"),
    "all items at once": ("in items:", "in list(items):", "takes-items-as-needed"),
    "hides errors": (
        "result = work(item)",
        "result = None\n            try: result = work(item)\n            except Exception: pass",
        "raises-what-the-work-raises",
    ),
    "another error": (
        "result = work(item)",
        "try: result = work(item)\n            except Exception as error: raise RuntimeError(str(error))",
        "raises-what-the-work-raises",
    ),
    "loses the hint": (
        "result = work(item)",
        "try: result = work(item)\n            except Exception as error: raise type(error)(error.message)",
        "raises-what-the-work-raises",
    ),
    "works on when closed": (
        "            yield result",
        "            try:\n                yield result\n            finally:\n                list(items)",
        "stops-when-closed",
    ),
}
