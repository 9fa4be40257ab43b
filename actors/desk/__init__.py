"""The risk desk: shows guards what happens, asks them at the gate, and publishes their verdicts.

`risk_desk` does so, with `books` (results and slippage), `open_exposure` (held and under way, at an
order) and `venue_responses`; `guard` is the actor that runs a pure guard, `build` makes those of a
document. May import everything else in actors.
"""
