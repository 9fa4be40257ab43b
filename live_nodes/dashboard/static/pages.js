// All pages. A page: `name` in its address, `title`, `key` (shortcut after g; none: not in the list),
// `below` (the listed page it belongs to), `hears` (events after which it is read anew; none: all,
// empty: none), `read({words, query, api, automatic})` and `draw(data, {words, query, …})`.

import { book } from "./pages/book.js";
import { config } from "./pages/config.js";
import { desk } from "./pages/desk.js";
import { logs } from "./pages/logs.js";
import { positions } from "./pages/positions.js";
import { risk } from "./pages/risk.js";
import { comparison, strategy } from "./pages/strategies.js";
import { studies } from "./pages/studies.js";
import { trades } from "./pages/trades.js";

export const PAGES = [desk, comparison, strategy, positions, book, trades, risk, config, studies, logs];
