// The pieces of the page: elements, a code as a pattern, and where a model looked. Text goes in as text, never as HTML.

export const at = (id) => document.getElementById(id);

// make("p", {class: "x", onclick: f}, "text", child): an element.
export function make(tag, about = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...inside.filter((part) => part !== null && part !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, about) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(about)) made.setAttribute(name, value);
  return made;
}

const bitsOf = (hex, bits) =>
  Array.from({ length: bits }, (_, i) => (parseInt(hex.substr(2 * (i >> 3), 2), 16) >> (i & 7)) & 1);

// A code as a pattern of squares; beside another one those squares stand out that differ: full where the bit is set
// here, hollow where it is set there.
export function pattern(hex, bits, other = null) {
  const mine = bitsOf(hex, bits);
  const theirs = other ? bitsOf(other, bits) : mine;
  const columns = bits <= 128 ? 16 : bits <= 1024 ? 32 : 64;
  const rows = Math.ceil(bits / columns);
  const set = mine.reduce((sum, bit) => sum + bit, 0);
  const differ = mine.reduce((sum, bit, i) => sum + (bit !== theirs[i]), 0);
  const said = other ? `${differ} of ${bits} bits differ` : `${bits} bits, ${set} of them set`;
  const picture = shape("svg", { viewBox: `0 0 ${10 * columns - 2} ${10 * rows - 2}`, class: "pattern", role: "img",
    "aria-label": said });
  const paths = { set: "", clear: "", more: "", less: "" };
  mine.forEach((bit, i) => {
    const kind = bit === theirs[i] ? (bit ? "set" : "clear") : bit ? "more" : "less";
    const inset = kind === "less" ? 1 : 0;
    const x = 10 * (i % columns) + inset, y = 10 * Math.floor(i / columns) + inset, side = 8 - 2 * inset;
    paths[kind] += `M${x} ${y}h${side}v${side}h-${side}z`;
  });
  for (const [kind, path] of Object.entries(paths)) if (path) picture.append(shape("path", { class: kind, d: path }));
  return make("figure", { class: "code" }, picture, make("figcaption", {}, said));
}

const shades = (weights) => {
  const most = Math.max(...weights, 1e-9);
  return weights.map((weight) => weight / most);
};

// A picture under a cloth that is lifted where the chosen class looked.
function pictureLooked(look, looks, source, alt) {
  const [rows, columns] = looks.grid;
  const cells = make("div", { class: "cells", "aria-hidden": "true" });
  cells.style.gridTemplate = `repeat(${rows}, 1fr) / repeat(${columns}, 1fr)`;
  for (const shade of shades(look.weights)) {
    const cell = make("i", { class: shade > 0.5 ? "most" : null });
    cell.style.backgroundColor = `rgb(0 0 0 / ${(0.75 * (1 - Math.sqrt(shade))).toFixed(3)})`;
    cells.append(cell);
  }
  return make("div", { class: "looked" }, make("img", { src: source, alt }), cells);
}

// Words on a ground that is the stronger the more the chosen class looked at them.
function wordsLooked(look, looks) {
  const line = make("p", { class: "words" });
  shades(look.weights).forEach((shade, i) => {
    const word = make("span", {}, looks.words[i]);
    if (shade > 0.02) word.style.setProperty("--shade", shade.toFixed(3));
    line.append(word, " ");
  });
  return line;
}

let groups = 0;

// Where the surest classes looked, one at a time; `replace` gets what shows the chosen one.
export function looked(looks, replace, source, alt) {
  const name = `looks-${groups++}`;
  const empty = looks.grid ? !looks.classes.length : !looks.words || !looks.words.length;
  if (empty) return make("p", { class: "faint" }, "The model reads nothing of it.");
  const show = (look) => replace(looks.grid ? pictureLooked(look, looks, source, alt) : wordsLooked(look, looks));
  const choices = looks.classes.map((look, i) => {
    const input = make("input", { type: "radio", name, checked: i === 0, onchange: () => show(look) });
    return make("label", { class: "choice" }, input,
      make("span", {}, look.name, make("b", {}, ` ${Math.round(100 * look.score)} %`)));
  });
  show(looks.classes[0]);
  return make("fieldset", { class: "choices" }, make("legend", {}, "Where a class looked, and how sure it is"), ...choices);
}
