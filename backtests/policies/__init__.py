"""Policies of the basis: train, judge and keep them (`strategies.basis.policy` acts on them).

- ``looks.py`` what the strategy would see of a catalog, look by look, without the engine
- ``environment.py`` the same as a Gymnasium environment, whose money is the backtest's to the cent
- ``baselines.py`` never, always above cost, the best threshold, perfect foresight
- ``fitted_q.py`` the learner: fitted Q-iteration with extremely randomised trees
- ``walk_forward.py`` all of them out of sample, with bootstrapped intervals
- ``artifacts.py`` folders ``policies/<name>/<version>`` · ``training.py`` from document to folder
- ``commands.py`` `perpdesk policy`

Another learner is a function with the signature of `fitted_q.fit`, handed to `training.train`. No
engine runs here: looks come from the catalog's arrays.
"""
