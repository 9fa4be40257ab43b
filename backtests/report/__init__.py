"""The report: one HTML file of a result that opens offline, on a wide screen and on a phone.

``render`` reads nothing but the result folder, so any result, also one of live trading, can be
rendered again (``perpdesk report DIR``). Numbers come from `actors.measures` and
`backtests.results.figures`; here they are only arranged.

- ``material.py`` everything read once · ``breakdown.py`` sums by symbol, side and strategy
- ``charts.py`` the drawings as plain plotly dicts · ``thinning.py`` fewer points, same extremes
- ``spans.py`` when verdicts stood · ``verdict_lanes.py`` how that is drawn · ``guard_acts.py`` and
  ``guards.py`` what the guards did
- ``sections.py`` what it earned · ``trading.py`` what trading made and cost · ``origin.py`` where
  the figures come from · ``formats.py`` numbers as text
- ``page.py`` the whole page, with ``page.css`` and ``page.js``

To add a section: a function that takes the Material and the Drawings and returns HTML, and its
line in ``page.SECTIONS``. Colours are names of ``page.css`` variables written as ``@name``, so that
both themes fit.
"""
