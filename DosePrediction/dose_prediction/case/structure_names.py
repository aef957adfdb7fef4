"""What a structure is, told from its name: TG-263 names and the usual variants of them.

Recognised are planning targets (PTV) with the prescription in their name, organs at risk, planning risk volumes of organs, and the body contour.
Everything else is ignored, on purpose:

* GTV, CTV and ITV: a plan is prescribed to the PTV around them, and planning to both would count the same volume twice;
* what planners draw to steer an optimiser: names that start with "z", "x" or "_", rings, crops ("PTV_Eval", "PTV!"), expansions, and one
  structure minus another ("PTV70-Parotid", "Parotid_L-PTV").  TG-263's own "Lungs-GTV" and its like are organs;
* prostate, seminal vesicles and uterus, which are more often what is treated than what is spared.

The user sees every mapping and can change it.  Source of the names: Mayo et al., AAPM TG-263, Int J Radiat Oncol Biol Phys 100, 1057-1066 (2018).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import permutations

from dose_prediction.case.organ_names import MIDLINE_ORGANS, ORGANS_LESS_TARGET, PAIRED_ORGANS
from dose_prediction.case.structure import MAX_PRESCRIPTION_GY, Role

# What is left of a name of the body contour without words that say nothing ("contour" among them).
_BODY = re.compile(r"(?:body|skin|external|outer|patient)?(?:body|skin|external|outline|outer)|patient|externe?|ext|aussenkontur|possibledosemask")
_LEFT, _RIGHT = {"l", "left", "lt", "lft", "sin", "links"}, {"r", "right", "rt", "rgt", "dex", "rechts"}
_BOTH = {"both", "bilat", "bilateral", "combined", "comb", "total", "tot", "all", "b"}
_SAYS_NOTHING = {"oar", "organ", "structure", "contour", "new", "final", "auto", "ai", "dl", "copy", "edit", "edited", "approved", "clinical", "the"}
# Words of names that are helpers for an optimiser or an evaluation, not what is prescribed to.
_HELPER = re.compile(
    r"z.*|ring.*|shell|rind|halo|wall|opt|optim.*|avoid.*|help.*|dummy|tun(e|ing).*|bool.*|not|ex|excl.*|minus|sub|crop.*|eval.*|evl|dvh|skin|noskin|push|hot|cold|overlap|ovl?"
    r"|inter|intersect.*|and|exp|expan.*|margin|plus|nt|ntt|normal|body|norm|tissue|outside|out|external|old|bolus|build.*|air|dose|iso.*|couch|prv|near|back|backup|temp|tmp|test"
)
_TARGET_WORD = re.compile(r"i?[pcgi]tv", re.IGNORECASE)
_UNION_WORDS = {"all", "total", "tot", "sum", "union", "combined", "comb", "whole"}
_NUMBER = re.compile(
    r"(?<![\d.,])(?P<value>\d+(?:[.,]\d+|p\d+)?)[\s_]*(?P<unit>cgy|gy|mm|cm|fx|fr\w*|%|#)?"
    r"(?:[\s_]*[x*][\s_]*(?P<count>\d{1,2})(?!\d))?",
    re.IGNORECASE,
)
_PRV_WORD = re.compile(r"(?:(?<![a-z])|(?<=[a-z])(?=PRV))prv[\s_+-]*(?:(?P<size>\d+(?:[.,]\d+)?)[\s_]*(?P<unit>mm|cm)?)?", re.IGNORECASE)
_PRV_MARGIN = re.compile(
    r"(?:\+[\s_]*|(?<![a-z])exp(?:anded)?[\s_]*|[\s_])(?P<size>\d+(?:[.,]\d+)?)[\s_]*(?P<unit>mm|cm)$"
    r"|(?:\+|[\s_](?=0))(?P<plain>\d{1,2})$",
    re.IGNORECASE,
)
_SMALLEST_BARE_DOSE_GY = 15.0
_LARGEST_TOTAL_OF_FRACTIONS_GY = 90.0


@lru_cache(maxsize=4096)
def recognise(name: str) -> Role:
    """The role that a structure of this name most likely has; `RoleKind.IGNORED` without a standard name if it is none that counts.

    >>> recognise("PTV_7000").prescription_gy
    70.0
    >>> recognise("LT PAROTID").standard_name
    'Parotid_L'
    >>> recognise("PTV70-Parotid").kind
    <RoleKind.IGNORED: 'ignored'>
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()
    if plain[:1] in {"_", "z", "Z"} or plain.endswith("!"):
        return Role.ignored()
    parts = [part for part in re.split(r"-|(?<![a-zA-Z])(?:minus|not|without)(?![a-zA-Z])|Minus", plain) if part.strip(" _")]
    if len(parts) > 1 and not _organ(plain) and _names_a_volume(parts[0]) and any(_names_a_volume(part) for part in parts[1:]):
        return _organ_less_target(parts)
    if re.search(r"-[\s_]*\d+(?:\.\d+)?[\s_]*[mc]m\b", plain, re.IGNORECASE):
        return Role.ignored()
    words = _words(plain)
    if any(_TARGET_WORD.fullmatch(word) for word in words):
        return _target(plain, words)
    if _is_body(words):
        return Role.external()
    organ = _organ(plain)
    return Role.organ(organ) if organ else Role.ignored()


def _names_a_volume(part: str) -> bool:
    words = _words(part)
    return any(_TARGET_WORD.fullmatch(word) for word in words) or _is_body(words) or bool(_organ(part))


def _is_body(words: list[str]) -> bool:
    return bool(_BODY.fullmatch("".join(word for word in words if not word.isdigit() and word not in _SAYS_NOTHING)))


def _organ_less_target(parts: list[str]) -> Role:
    """One volume minus another: only an organ without the tumour inside it has a name of its own."""
    organ = _organ(parts[0])
    target = "".join(_words(parts[1])).upper()
    if len(parts) == 2 and organ in ORGANS_LESS_TARGET and target in {"GTV", "CTV", "ITV", "IGTV", "PTV"}:
        return Role.organ(f"{organ}-{target}")
    return Role.ignored()


def _words(text: str) -> list[str]:
    """Lower-case words and numbers: split at punctuation, at changes from small to capital letters and around PTV, CTV, GTV and ITV."""
    apart = _TARGET_WORD.sub(lambda found: f" {found.group().upper()} ", text)
    return [word.lower() for word in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+", apart)]


def _target(plain: str, words: list[str]) -> Role:
    if "ptv" not in words or "+" in plain or words[0] in {"x", "xx"} or any(_HELPER.fullmatch(word) for word in words):
        return Role.ignored()
    if re.search(r"\d{2,}(?:gy)?[\s_]*-[\s_]*\d{2,}(?![\d.]*[\s_]*(?:f|#|mm|cm))", plain, re.IGNORECASE):
        return Role.ignored()  # "PTV70-63": one dose level without the next
    prescription = _prescription_gy(plain)
    if prescription is None and _UNION_WORDS & set(words):
        return Role.ignored()
    return Role.target(prescription)


def _prescription_gy(text: str) -> float | None:
    """The dose in a target's name: with a unit if one is given, else 1000 and more is cGy, 15 to 100 is Gy and less is only a number of the target.

    "20Gyx3" is three fractions of 20 Gy as in TG-263, unless that makes more than 90 Gy: then it is 20 Gy in all.
    """
    stated: list[float] = []
    guessed: list[float] = []
    for found in _NUMBER.finditer(text):
        value = float(found["value"].replace(",", ".").replace("p", ".").replace("P", "."))
        unit, count = (found["unit"] or "").lower(), found["count"]
        if unit not in {"", "gy", "cgy"}:
            continue
        in_cgy = unit == "cgy" or (not unit and value >= (100 if count else 1000))
        dose = value / 100 if in_cgy else value
        if count and dose * int(count) <= _LARGEST_TOTAL_OF_FRACTIONS_GY:
            dose *= int(count)
        if 0 < dose <= MAX_PRESCRIPTION_GY and (unit or in_cgy or dose >= _SMALLEST_BARE_DOSE_GY):
            (stated if unit else guessed).append(round(dose, 4))
    return max(stated or guessed, default=None)


def _organ(text: str) -> str:
    """TG-263 name of an organ or of its planning risk volume; "" if it is neither."""
    text, prv = _without_margin(text)
    words = [word for word in _words(text) if word not in _SAYS_NOTHING]
    if words and re.fullmatch(r"\d", words[-1]):
        words.pop()  # the number of a copy
    left, right = bool(_LEFT & set(words)), bool(_RIGHT & set(words))
    both = (left and right) or bool(_BOTH & set(words))
    whole = "".join(words)
    if whole in _MIDLINE_NAMES:  # before sides are taken off: "Musc_Constrict_S", "Left anterior descending"
        return _MIDLINE_NAMES[whole] + prv
    key = "".join(word for word in words if word not in _LEFT | _RIGHT | _BOTH)
    if key in _PAIRED_NAMES:
        standard, plural = _PAIRED_NAMES[key]
        side = "" if both else "_L" if left else "_R" if right else ""
        return f"{standard}{prv}{side}" if side else f"{plural}{prv}" if len(key) > 2 else ""
    return _glued_side(key, prv) if not (left or right) else ""


def _without_margin(text: str) -> tuple[str, str]:
    """The name of the organ alone, and the TG-263 ending of its planning risk volume: "_PRV05" for 5 mm, "_PRV" if no margin is given, else ""."""
    is_prv, size_mm = False, None
    for pattern in (_PRV_WORD, _PRV_MARGIN):
        found = pattern.search(text) if size_mm is None else None
        if found:
            text = f"{text[: found.start()]} {text[found.end() :]}".strip()
            is_prv = True
            size = found["size"] or (found["plain"] if pattern is _PRV_MARGIN else None)
            if size:
                size_mm = float(size.replace(",", ".")) * (10 if (found["unit"] or "").lower() == "cm" else 1)
    return text, f"_PRV{round(size_mm):02d}" if size_mm is not None else "_PRV" if is_prv else ""


def _glued_side(key: str, prv: str) -> str:
    """An organ with its side written into the word, such as "parotidl", "LTPAROTID"."""
    for side, marks in (("_L", ("left", "lt", "l")), ("_R", ("right", "rt", "r"))):
        for mark in marks:
            for rest in (key.removeprefix(mark), key.removesuffix(mark)):
                if rest != key and rest in _PAIRED_NAMES:
                    return f"{_PAIRED_NAMES[rest][0]}{prv}{side}"
    return ""


def _spellings(standard: str, aliases: str) -> set[str]:
    """Every way to write the names: their words in any order, joined, with or without "gland", "bone" and "muscle"."""
    names = {tuple(_words(standard)), *(tuple(_words(alias)) for alias in aliases.split(",") if alias.strip())}
    names |= {tuple(word for word in name if word not in {"glnd", "bone", "musc"}) for name in names}
    names |= {(word, *name) for name in names for word in ("gland", "glnd", "bone") if len(name) == 1 and len(name[0]) > 3}
    return {"".join(order) for name in names if name for order in (permutations(name) if len(name) <= 4 else [name])}


_MIDLINE_NAMES = {key: standard for standard, aliases in MIDLINE_ORGANS.items() for key in _spellings(standard, aliases)}
_PAIRED_NAMES = {
    key: (standard, plural)
    for standard, (plural, aliases) in PAIRED_ORGANS.items()
    for name in _spellings(standard, aliases) | _spellings(plural, "")
    for key in (name, f"{name}s")
    if key not in _MIDLINE_NAMES
}
