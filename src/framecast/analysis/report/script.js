// Tables sort by a click on their header.
const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent;
const absent = (value) => value === '' || value === '–';

function compare(x, y) {
  const [p, q] = [Number(x), Number(y)];
  return Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y, undefined, {numeric: true}) : p - q;
}

for (const head of document.querySelectorAll('.table th')) {
  head.addEventListener('click', () => {
    const column = head.cellIndex, body = head.closest('table').tBodies[0], down = head.dataset.order === 'up';
    for (const other of head.parentNode.cells) delete other.dataset.order;
    head.dataset.order = down ? 'down' : 'up';
    const rows = [...body.rows].sort((a, b) => {
      const x = key(a, column), y = key(b, column);
      if (absent(x) || absent(y)) return absent(x) - absent(y);
      return down ? -compare(x, y) : compare(x, y);
    });
    body.append(...rows);
  });
}

// The filter above a long table hides the rows that lack one of its words.
for (const box of document.querySelectorAll('.filter')) {
  box.addEventListener('input', () => {
    const wanted = box.value.toLowerCase().split(/\s+/);
    for (const row of box.parentNode.querySelectorAll('tbody tr')) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
    }
  });
}

// The contents list marks what is being read: of the parts that cross the upper part of the window, the innermost one.
const links = new Map([...document.querySelectorAll('nav a')].map((link) => [link.hash.slice(1), link]));
const crossing = new Set();
const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.isIntersecting ? crossing.add(entry.target.id) : crossing.delete(entry.target.id);
  const here = [...links.keys()].filter((place) => crossing.has(place)).at(-1);
  for (const [place, link] of links) link.classList.toggle('here', place === here);
  links.get(here)?.scrollIntoView({block: 'nearest'});
}, {rootMargin: '-15% 0px -75% 0px'});
for (const place of links.keys()) observer.observe(document.getElementById(place));

// A link to something folded opens it; print opens everything.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === 'DETAILS') target.open = true;
}
addEventListener('hashchange', unfold);
unfold();
addEventListener('beforeprint', () => {
  for (const one of document.querySelectorAll('details')) one.open = true;
});
