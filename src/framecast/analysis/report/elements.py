"""Building blocks of one self-contained HTML page: tags that escape, tables that sort, pictures inside the file.

What is not `Html` is text and is escaped where it enters a tag, so nothing from data or config can become markup.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

IMAGE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
FILTER_FROM = 12  # rows from which a table gets a filter


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Content = str | int | float | None


def tag(name: str, *children: Content | Iterable[Content], **attributes: str | bool | None) -> Html:
    """An element. `class_` is class, `data_x` is data-x; None and False leave an attribute out."""
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        words.append(key if value is True else f'{key}="{html.escape(_printable(str(value)))}"')
    return Html(f"<{' '.join(words)}>{join(*children)}</{name}>")


def join(*children: Content | Iterable[Content]) -> Html:
    """Contents one after the other, escaped unless they are markup."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            parts.append(str(child))
        elif isinstance(child, str | int | float):
            parts.append(html.escape(_printable(str(child))))
        else:
            parts.append(str(join(*child)))
    return Html("".join(parts))


def _printable(text: str) -> str:
    """Lone surrogates (bytes of file names that are no UTF-8) and control characters become �."""
    text = text.encode("utf-8", "replace").decode("utf-8") if any("\ud800" <= c <= "\udfff" for c in text) else text
    return "".join(c if c >= " " or c in "\n\t" else "�" for c in text)


@dataclass(frozen=True)
class Cell:
    """A table cell: what is shown, what it sorts by, its class, what a pointer over it shows."""

    shown: Content
    key: float | str | None = None
    style: str | None = None
    hint: str | None = None


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell | Content]], numbers: Iterable[int] = ()) -> Html:
    """A table that sorts by a click on its header; `numbers` are the columns that stand to the right."""
    right = set(numbers)
    head = tag("tr", (tag("th", title, class_="n" if place in right else None) for place, title in enumerate(columns)))
    body = (tag("tr", (_cell(cell, place in right) for place, cell in enumerate(row))) for row in rows)
    filtered = len(rows) >= FILTER_FROM
    box = tag("input", type="search", placeholder=f"filter {len(rows)} rows", class_="filter", aria_label="filter rows")
    return tag(
        "div",
        Html(box.removesuffix("</input>")) if filtered else None,
        tag("div", tag("table", tag("thead", head), tag("tbody", body)), class_="scroll"),
        class_="table",
    )


def _cell(cell: Cell | Content, right: bool) -> Html:
    if not isinstance(cell, Cell):
        cell = Cell(cell)
    style = " ".join(word for word in (cell.style, "n" if right else None) if word) or None
    key = None if cell.key is None else str(cell.key)
    return tag("td", cell.shown, class_=style, data_key=key, title=cell.hint)


def drawing(svg: bytes, caption: Content | Iterable[Content], wide: bool = False) -> Html:
    """A figure drawn by `framecast.analysis.figures` in the page's own ink."""
    box = tag("div", Html(svg.decode("utf-8")), class_="drawing wide" if wide else "drawing")
    return tag("figure", box, tag("figcaption", caption))


def picture(path: Path, caption: str) -> Html:
    """An image file, put into the page whole.

    Raises ValueError for a file that browsers do not show.
    """
    kind = IMAGE_TYPES.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"picture {path}: a page shows {sorted(IMAGE_TYPES)}, not {path.suffix!r}")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    image = tag("img", src=f"data:{kind};base64,{data}", alt=caption).removesuffix("</img>")
    return tag("figure", Html(image), tag("figcaption", caption), class_="picture")


def details(title: Content | Iterable[Content], *content: Content | Iterable[Content], open_: bool = False) -> Html:
    """Something that opens at a click, and in print."""
    return tag("details", tag("summary", title), *content, open=open_)


def document(title: str, navigation: Sequence[tuple[str, str]], content: Html) -> str:
    """The whole page: nothing in it is fetched from anywhere."""
    links = (tag("a", name, href=f"#{place}") for place, name in navigation)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"{tag('title', title)}<style>{STYLE}</style></head><body>"
        f"{tag('nav', tag('strong', 'framecast'), links)}{tag('main', content)}"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


STYLE = """
:root{--paper:#fff;--panel:#f6f8fa;--ink:#1b1f24;--quiet:#5b6470;--line:#d8dee4;--good:#14783e;--goodbg:#dff5e6;
--bad:#b3262b;--badbg:#fde4e4;--openbg:#eceff2;--link:#0b62b3;--warnbg:#fff5d6;--warn:#7a5300}
@media(prefers-color-scheme:dark){:root{--paper:#14171b;--panel:#1c2026;--ink:#e4e8ec;--quiet:#9ba5b0;--line:#343b44;
--good:#63d08f;--goodbg:#15382a;--bad:#ff8f8f;--badbg:#47201f;--openbg:#2a3038;--link:#7ab8f5;--warnbg:#3b3013;
--warn:#f0cd74}}
*{box-sizing:border-box}html{scroll-behavior:smooth;scroll-padding-top:1rem}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
display:grid;grid-template-columns:13rem minmax(0,1fr)}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1.6rem 1.2rem;border-right:1px solid var(--line);
display:flex;flex-direction:column;gap:.45rem;font-size:.9rem}
nav strong{margin-bottom:.6rem;font-size:1.02rem}nav a{color:var(--quiet);text-decoration:none}
nav a:hover{color:var(--link)}
main{padding:1.8rem 2.2rem 5rem;max-width:82rem;width:100%}
h1{font-size:1.75rem;line-height:1.2;margin:.2rem 0 .3rem;letter-spacing:-.01em}
h2{font-size:1.3rem;margin:3rem 0 .8rem;padding-bottom:.35rem;border-bottom:1px solid var(--line)}
h3{font-size:1.06rem;margin:1.8rem 0 .4rem}h4{font-size:.95rem;margin:1.3rem 0 .3rem}
p{margin:.4rem 0}.quiet,figcaption,.sub{color:var(--quiet);font-size:.88rem}.sub{margin:.1rem 0 .7rem}
.note{border-left:3px solid var(--link);padding:.2rem .8rem;margin:.6rem 0;max-width:60rem}
a{color:var(--link)}code{font-size:.9em}
.card{border:1px solid var(--line);border-radius:10px;padding:1rem 1.25rem;margin:0 0 1rem;background:var(--panel)}
.card h3{margin:0}.card h4{margin:.9rem 0 .2rem}
ul.verdicts{list-style:none;margin:.2rem 0 .3rem;padding:0}ul.verdicts li{display:grid;
grid-template-columns:13.2rem 1fr;gap:.7rem;
padding:.5rem 0;border-top:1px solid var(--line)}ul.verdicts li:first-child{border-top:0}
.chip{display:inline-block;border-radius:99px;padding:.08rem .65rem;font-size:.8rem;font-weight:650;
white-space:nowrap;height:fit-content;
text-align:center}
.better{color:var(--good);background:var(--goodbg)}.worse{color:var(--bad);background:var(--badbg)}
.open{color:var(--quiet);background:var(--openbg)}
td.better,td.worse,td.open{text-align:center;border:2px solid var(--panel)}
.tag{font-size:.75rem;color:var(--quiet);border:1px solid var(--line);border-radius:5px;padding:0 .35rem;
margin-left:.4rem;white-space:nowrap}
.note{background:var(--warnbg);color:var(--warn);border-radius:8px;padding:.55rem .9rem;margin:.7rem 0;
font-size:.9rem}
.facts{display:flex;flex-wrap:wrap;gap:.4rem 2.2rem;margin:.9rem 0 1.4rem;padding:0}.facts div{display:flex;
flex-direction:column}
.facts b{font-size:1.3rem;line-height:1.25;font-variant-numeric:tabular-nums}.facts span{color:var(--quiet);
font-size:.84rem}
.table{margin:.6rem 0 1.2rem}.scroll{overflow-x:auto;max-height:36rem;overflow-y:auto;border:1px solid var(--line);
border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:.87rem;font-variant-numeric:tabular-nums;background:var(--paper)}
th,td{padding:.38rem .75rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
tbody tr:last-child td{border-bottom:0}
th{position:sticky;top:0;background:var(--panel);cursor:pointer;font-weight:600;vertical-align:bottom;user-select:none;
z-index:1}
th[data-order=up]:after{content:" ▲";font-size:.7em}th[data-order=down]:after{content:" ▼";font-size:.7em}
.n{text-align:right}td.best{font-weight:700}td small{color:var(--quiet);font-size:.86em}
.filter{margin:0 0 .4rem;padding:.3rem .6rem;border:1px solid var(--line);border-radius:7px;background:var(--paper);
color:inherit;
font:inherit;font-size:.86rem;width:16rem;max-width:100%}
figure{margin:.7rem 0 1.1rem}figcaption{margin-top:.25rem}.drawing svg{width:100%;max-width:40rem;height:auto;
display:block}
.picture img{max-width:100%;height:auto;border-radius:6px;background:#fff}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(25rem,1fr));gap:.2rem 2rem}
details{margin:.5rem 0}summary{cursor:pointer;color:var(--link);font-size:.92rem}
pre{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:.9rem;overflow:auto;
max-height:34rem;font-size:.8rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;font-size:.9rem;margin:.5rem 0}
dt{color:var(--quiet)}dd{margin:0}
td{white-space:nowrap}td.wrap{white-space:normal}.wrap{overflow-wrap:anywhere}
.wide svg{max-width:54rem}
@media(max-width:60rem){body{display:block}nav{position:static;height:auto;flex-flow:row wrap;border:0;padding:1rem}
main{padding:1rem}
ul.verdicts li{grid-template-columns:1fr;gap:.2rem}.chip{justify-self:start}}
@media print{body{display:block;font-size:11px}nav,.filter{display:none}main{padding:0;max-width:none}
.scroll{max-height:none;overflow:visible}
.card,figure,tr{break-inside:avoid}h2,h3{break-after:avoid}th{position:static}
.chip,.card,td{print-color-adjust:exact}}
"""

SCRIPT = """
const key=(row,i)=>{const c=row.cells[i];return c.dataset.key??c.textContent};
for(const head of document.querySelectorAll('th'))head.addEventListener('click',()=>{
 const i=head.cellIndex,body=head.closest('table').tBodies[0],down=head.dataset.order==='up';
 for(const other of head.parentNode.cells)delete other.dataset.order;
 head.dataset.order=down?'down':'up';
 const rows=[...body.rows].sort((a,b)=>{const x=key(a,i),y=key(b,i),p=Number(x),q=Number(y);
  const xs=x===''||x==='–',ys=y===''||y==='–';if(xs||ys)return xs-ys;
  const order=Number.isNaN(p)||Number.isNaN(q)?x.localeCompare(y,undefined,{numeric:true}):p-q;
  return down?-order:order});
 body.append(...rows)});
for(const box of document.querySelectorAll('.filter'))box.addEventListener('input',()=>{
 const wanted=box.value.toLowerCase().split(/\\s+/);
 for(const row of box.parentNode.querySelectorAll('tbody tr')){const text=row.textContent.toLowerCase();
  row.hidden=!wanted.every(word=>text.includes(word))}});
addEventListener('beforeprint',()=>{for(const one of document.querySelectorAll('details'))one.open=true});
"""
