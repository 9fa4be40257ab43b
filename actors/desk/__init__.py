"""The risk desk: sends events to the guards, checks entries with them and publishes their verdicts.

May import everything else in actors.
"""
