"""Samplers and schedulers: what A1111 calls them, and what ComfyUI does.

Owns the two tables (A1111's `modules/sd_samplers_kdiffusion.py` and `modules/sd_schedulers.py`). Pure; what a ComfyUI
really offers is looked up elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SAMPLERS", "SCHEDULERS", "Sampler", "Scheduler", "from_a1111", "to_a1111"]


@dataclass(frozen=True, slots=True)
class Sampler:
    """``own`` is ComfyUI's name; ``scheduler`` is what A1111 takes for "Automatic", by ComfyUI's name."""

    name: str
    own: str
    aliases: tuple[str, ...] = ()
    scheduler: str = "normal"


@dataclass(frozen=True, slots=True)
class Scheduler:
    """``own`` is ComfyUI's name."""

    name: str
    label: str
    own: str


SAMPLERS = (
    Sampler("DPM++ 2M", "dpmpp_2m", ("k_dpmpp_2m",), "karras"),
    Sampler("DPM++ SDE", "dpmpp_sde", ("k_dpmpp_sde",), "karras"),
    Sampler("DPM++ 2M SDE", "dpmpp_2m_sde", ("k_dpmpp_2m_sde",), "exponential"),
    Sampler("DPM++ 2M SDE Heun", "dpmpp_2m_sde_heun", ("k_dpmpp_2m_sde_heun",), "exponential"),
    Sampler("DPM++ 2S a", "dpmpp_2s_ancestral", ("k_dpmpp_2s_a",), "karras"),
    Sampler("DPM++ 3M SDE", "dpmpp_3m_sde", ("k_dpmpp_3m_sde",), "exponential"),
    Sampler("Euler a", "euler_ancestral", ("k_euler_a", "k_euler_ancestral")),
    Sampler("Euler", "euler", ("k_euler",)),
    Sampler("LMS", "lms", ("k_lms",)),
    Sampler("Heun", "heun", ("k_heun",)),
    Sampler("DPM2", "dpm_2", ("k_dpm_2",), "karras"),
    Sampler("DPM2 a", "dpm_2_ancestral", ("k_dpm_2_a",), "karras"),
    Sampler("DPM fast", "dpm_fast", ("k_dpm_fast",)),
    Sampler("DPM adaptive", "dpm_adaptive", ("k_dpm_ad",)),
    Sampler("Restart", "restart", (), "karras"),
    Sampler("DDIM", "ddim", (), "ddim_uniform"),
    Sampler("UniPC", "uni_pc", ("unipc",)),
    Sampler("LCM", "lcm", ("k_lcm",), "sgm_uniform"),
)

SCHEDULERS = (
    Scheduler("uniform", "Uniform", "normal"),
    Scheduler("karras", "Karras", "karras"),
    Scheduler("exponential", "Exponential", "exponential"),
    # With A1111's rho of 1 they are the same.
    Scheduler("polyexponential", "Polyexponential", "exponential"),
    Scheduler("sgm_uniform", "SGM Uniform", "sgm_uniform"),
    Scheduler("kl_optimal", "KL Optimal", "kl_optimal"),
    Scheduler("align_your_steps", "Align Your Steps", "ays"),
    Scheduler("simple", "Simple", "simple"),
    Scheduler("normal", "Normal", "normal"),
    Scheduler("ddim", "DDIM", "ddim_uniform"),
    Scheduler("beta", "Beta", "beta"),
    Scheduler("turbo", "Turbo", "turbo"),
)

_AUTOMATIC = ("", "automatic", "use same scheduler")
_SAMPLERS = {name.casefold(): each for each in SAMPLERS for name in (each.name, *each.aliases)}
_SCHEDULERS = {
    name.casefold(): each for each in SCHEDULERS for name in (each.name, each.label, each.label.replace(" ", ""))
}
_OWN = frozenset(each.own for each in SAMPLERS)


def from_a1111(sampler: str, scheduler: str) -> tuple[str, str]:
    """ComfyUI's names for both, "" where nothing is asked for. A name of neither table is taken for ComfyUI's own.

    "DPM++ 2M Karras" names both, as before A1111 1.9. A sampler of A1111 brings the scheduler that goes with it there.
    """
    sampler, scheduler = sampler.strip(), scheduler.strip()
    known, named = _sampler(sampler)
    if scheduler.casefold() not in _AUTOMATIC:
        named = _SCHEDULERS[scheduler.casefold()].own if scheduler.casefold() in _SCHEDULERS else scheduler
    if known is None or sampler in _OWN:
        return sampler, named
    return known.own, named or known.scheduler


def _sampler(text: str) -> tuple[Sampler | None, str]:
    """The sampler of A1111, and the scheduler that its name ends with."""
    folded = text.casefold()
    for ending, scheduler in _SCHEDULERS.items():
        if folded not in _SAMPLERS and folded.endswith(f" {ending}"):
            return _SAMPLERS.get(folded.removesuffix(ending).strip()), scheduler.own
    return _SAMPLERS.get(folded), ""


def to_a1111(sampler: str, scheduler: str) -> tuple[str, str]:
    """A1111's names for both of ComfyUI's; a name that A1111 does not have stays."""
    name = next((each.name for each in SAMPLERS if each.own == sampler), sampler)
    label = next((each.label for each in reversed(SCHEDULERS) if each.own == scheduler), scheduler)
    return name, label
