"""The risk desk: shows guards what happens, asks them at the gate, and publishes their verdicts.

May import everything else in actors. `guard` is the shell that carries a guard's pure rule;
`build` makes the guards of a document.
"""
