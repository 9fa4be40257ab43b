"""The report: one HTML file of a result that opens offline, on a wide screen and on a phone.

``render`` reads only the result folder, so any result, also of live trading, can be rendered again
(``perpdesk report DIR``). Numbers come from `actors.measures` and `backtests.results.figures`. May
import `backtests.results` and below.

- ``report_data.py`` everything read once: curves, verdict spans, sums by symbol and side
- ``charts.py`` the drawings as plain plotly dicts · ``verdict_lanes.py`` verdicts on the curve
- ``sections.py`` what it earned · ``trading.py`` what trading made and cost · ``guards.py`` what
  the guards did · ``provenance.py`` where the figures come from · ``formats.py`` numbers as text
- ``pair_results.py`` each pair's part of fills and funding · ``pairs.py`` shown
- ``picture.py`` a minute of a run on books, drawn from its catalog
- ``page.py`` the whole page, with ``page.css`` and ``page.js``

To add a section: a function that takes the ReportData and the Drawings and returns HTML, and its
line in ``page.SECTIONS``. Write colours as ``@name`` of ``page.css`` variables: they fit both
themes.
"""
