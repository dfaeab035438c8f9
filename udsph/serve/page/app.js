// The search page: asks the API beside it and shows what it answers. The address holds the query, so that it can be
// shared and the browser's arrows work; a picture that was dropped stays in this page.

import { at, looked, make, pattern } from "./parts.js";

const STEPS = [12, 24, 48, 96, 200, 500, 1000];
const number = (value) => value.toLocaleString("en");
let about = null;
let query = { kind: "none" };
let shown = [];
let running = null;

// -- asking --------------------------------------------------------------------------------------------------------

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (answer.ok) return answer.json();
  const said = await answer.json().catch(() => ({}));
  throw new Error(said.error || `The server answered with status ${answer.status}.`);
}

function filters() {
  const wanted = new URLSearchParams({ k: at("k").value });
  if (Number(at("radius").value) < about.bits) wanted.set("radius", at("radius").value);
  for (const chip of at("chosen").children) wanted.append("label", chip.dataset.label);
  return wanted;
}

function request() {
  const wanted = filters();
  if (query.kind === "picture") return [`/search/image?${wanted}`, { method: "POST", body: query.file }];
  wanted.set(query.kind === "text" ? "q" : "id", query.kind === "text" ? query.text : query.id);
  return [`/search/${query.kind}?${wanted}`, {}];
}

async function search({ remember = true } = {}) {
  if (query.kind === "none") return browse();
  running?.abort();
  const mine = (running = new AbortController());
  const began = performance.now();
  at("found").setAttribute("aria-busy", "true");
  if (remember) history.pushState(null, "", address());
  try {
    const [path, options] = request();
    const answer = await ask(path, { ...options, signal: mine.signal });
    problem("");
    showQuery(answer);
    showResults(answer.results, "Results");
    at("status").textContent = summary(answer, performance.now() - began);
  } catch (error) {
    if (error.name !== "AbortError") problem(error.message);
  } finally {
    if (running === mine) at("found").removeAttribute("aria-busy");
  }
}

async function browse() {
  running?.abort();
  running = null;
  at("found").removeAttribute("aria-busy");
  at("query").hidden = true;
  at("answer").classList.remove("asked");
  try {
    const { items } = await ask("/items?count=24");
    if (query.kind !== "none") return;
    showResults(items, "From the collection");
    at("status").textContent = items.length ? "A few of them. Search, or take one as an example." : "The collection is empty.";
  } catch (error) {
    problem(error.message);
  }
}

function summary(answer, milliseconds) {
  const { results, allowed, codes, milliseconds: parts } = answer;
  const among = allowed < codes ? `${number(allowed)} of ${number(codes)}` : number(codes);
  const steps = parts.encode === null ? "" : `model ${parts.encode.toFixed(1)}, `;
  const time = `${milliseconds.toFixed(0)} ms (${steps}search ${parts.search.toFixed(1)})`;
  const count = results.length ? `${results.length} nearest` : "Nothing near enough";
  const remarks = answer.remarks.length ? ` · ${answer.remarks.join(" ")}` : "";
  return `${count} among ${among} · ${time}${remarks}`;
}

function problem(sentence) {
  at("problem").hidden = !sentence;
  at("problem").textContent = sentence && sentence[0].toUpperCase() + sentence.slice(1);
}

// -- the address ---------------------------------------------------------------------------------------------------

function address() {
  const wanted = filters();
  if (query.kind === "text") wanted.set("q", query.text);
  if (query.kind === "item") wanted.set("like", query.id);
  return `?${wanted}`;
}

function restore() {
  const wanted = new URLSearchParams(location.search);
  const text = wanted.get("q"), like = wanted.get("like");
  if (wanted.has("k") && [...at("k").options].some((one) => one.value === wanted.get("k"))) at("k").value = wanted.get("k");
  at("radius").value = wanted.get("radius") ?? about.bits;
  at("chosen").replaceChildren();
  wanted.getAll("label").forEach(addLabel);
  within();
  setQuery(text ? { kind: "text", text } : like ? { kind: "item", id: like } : { kind: "none" });
  search({ remember: false });
}

function setQuery(next) {
  if (query.url) URL.revokeObjectURL(query.url);
  query = next;
  const picture = next.kind === "picture", item = next.kind === "item";
  at("given").hidden = !picture && !item;
  at("q").value = next.kind === "text" ? next.text : "";
  at("q").placeholder = picture || item ? "or describe it in words" : "Describe what you are looking for";
  if (picture || item) {
    const source = picture ? next.url : next.image || imageOf(next.id);
    at("given-picture").hidden = !source;
    if (source) at("given-picture").src = source;
    at("given-name").textContent = picture ? "Your picture" : "More like this";
  }
}

const imageOf = (id) => (about.pictures ? `/images/${encodeURIComponent(id)}` : "");

// -- the query -----------------------------------------------------------------------------------------------------

function showQuery(answer) {
  query.code = answer.code;
  at("query").hidden = false;
  at("answer").classList.add("asked");
  at("code").replaceChildren(pattern(answer.code, answer.bits));
  const asked = at("asked");
  if (query.kind === "text") asked.replaceChildren(make("p", { class: "words" }, query.text));
  else {
    const source = query.kind === "picture" ? query.url : query.image || imageOf(query.id);
    const alt = query.kind === "picture" ? "The picture you gave" : query.caption || String(query.id);
    asked.replaceChildren(source ? make("img", { class: "asked", src: source, alt }) : make("p", { class: "words" }, alt));
  }
  const [path, options] = looksOf(query);
  at("looks").replaceChildren(...(path ? [lookButton(path, options, (made) => asked.replaceChildren(made), asked)] : []));
}

// Where the model looked in a query: only if it looks at parts, and if there is something to show them in.
function looksOf(asked) {
  const { attention, modality, pictures } = about;
  if (asked.kind === "text") return attention.text ? [`/attended/text?q=${encodeURIComponent(asked.text)}`, {}] : [];
  if (asked.kind === "picture") return attention.image ? ["/attended/image", { method: "POST", body: asked.file }] : [];
  const has = modality === "text" ? attention.text : attention.image && pictures;
  return has ? [`/attended/item?id=${encodeURIComponent(asked.id)}`, {}] : [];
}

// A button that fetches where the model looked, and makes place for it.
function lookButton(path, options, replace, place) {
  const button = make("button", { type: "button", class: "plain wide", onclick: async () => {
    button.disabled = true;
    const source = place.querySelector("img")?.src, alt = place.querySelector("img")?.alt || "";
    try {
      const choices = looked(await ask(path, options), replace, source, alt);
      button.replaceWith(choices);
      choices.querySelector("input")?.focus({ preventScroll: true });
    } catch (error) {
      button.replaceWith(make("p", { class: "faint", role: "alert" }, error.message));
    }
  } }, "What did the model look at?");
  return button;
}

// -- the results ---------------------------------------------------------------------------------------------------

function showResults(items, title) {
  shown = items;
  at("found-title").textContent = title;
  at("results").classList.toggle("texts", !about.pictures);
  at("results").replaceChildren(...items.map(card));
}

const titleOf = (item) => item.caption || item.name;

function card(item, rank) {
  const far = item.distance;
  const open = make("button", { type: "button", class: "open", onclick: () => openDetails(rank),
    "aria-label": `Details: ${titleOf(item)}` });
  if (item.image) {
    const picture = make("img", { src: item.image, alt: "", loading: rank < 12 ? "eager" : "lazy", width: 320, height: 320,
      decoding: "async", onload: () => picture.classList.toggle("coarse", picture.naturalWidth < 160),
      onerror: () => open.replaceChildren(make("span", { class: "none" }, "no picture")) });
    open.append(picture);
  } else open.append(make("span", { class: "title" }, titleOf(item)));
  const meter = make("span", { class: "meter", "aria-hidden": "true" }, make("i"));
  meter.firstChild.style.inlineSize = `${Math.min(100, (200 * (far ?? 0)) / about.bits)}%`;
  const isSelf = query.kind === "item" && String(item.id) === String(query.id);
  return make("li", { class: isSelf ? "card self" : "card" },
    open,
    item.image ? make("p", { class: "caption", title: titleOf(item) }, titleOf(item)) : null,
    make("div", { class: "foot" },
      far === undefined ? null : make("span", { class: "far" }, make("span", {}, "distance ", make("b", {}, String(far))), meter),
      isSelf ? make("span", { class: "faint" }, "this one") : make("button", { type: "button", class: "quiet",
        "aria-label": `More like this: ${titleOf(item)}`, onclick: () => moreLike(item) }, "More like this")));
}

function moreLike(item) {
  at("details").close();
  setQuery({ kind: "item", id: item.id, image: item.image, caption: titleOf(item) });
  search();
  at("found").focus({ preventScroll: true });
  scrollTo({ top: 0 });
}

// -- one item ------------------------------------------------------------------------------------------------------

function openDetails(rank) {
  const item = shown[rank], box = at("details");
  const place = make("div", { class: "stage" }, item.image
    ? make("img", { class: "asked", src: `${item.image}?size=large`, alt: titleOf(item) })
    : make("p", { class: "words" }, titleOf(item)));
  const picture = place.querySelector("img");
  picture?.addEventListener("load", () => place.classList.toggle("coarse", picture.naturalWidth < 160));
  const code = make("div");
  const [path, options] = looksOf({ kind: "item", id: item.id });
  const step = (by, said, sign) => make("button", { type: "button", class: "plain", "aria-label": said,
    disabled: !shown[rank + by], onclick: () => openDetails(rank + by) }, sign);
  box.replaceChildren(make("div", { class: "inside" },
    place,
    make("div", { class: "told" },
      make("h2", { id: "details-title" }, titleOf(item)),
      make("p", { class: "faint" }, item.caption ? item.name : "",
        item.distance === undefined ? "" : `${item.caption ? " · " : ""}distance ${item.distance}`),
      make("p", { class: "chosen" }, ...item.labels.map((label) =>
        make("button", { type: "button", class: "chip", "aria-label": `Only results labelled ${label}`,
          onclick: () => { box.close(); addLabel(label); search(); } }, label))),
      path ? lookButton(path, options, (made) => place.replaceChildren(made), place) : null,
      make("h3", {}, query.code ? "Its code beside the query's" : "Code"), code,
      make("div", { class: "acts" },
        make("button", { type: "button", class: "main", onclick: () => moreLike(item) }, "More like this"),
        step(-1, "The result before", "←"), step(1, "The next result", "→"),
        make("button", { type: "button", class: "plain end", onclick: () => box.close() }, "Close")))));
  box.dataset.rank = rank;
  if (!box.open) box.showModal();
  ask(`/items/${encodeURIComponent(item.id)}`)
    .then((full) => code.replaceChildren(pattern(full.code, about.bits, query.kind === "none" ? null : query.code)))
    .catch((error) => code.replaceChildren(make("p", { class: "faint" }, error.message)));
}

// -- filters -------------------------------------------------------------------------------------------------------

function addLabel(label) {
  if ([...at("chosen").children].some((chip) => chip.dataset.label === label)) return;
  at("chosen").append(make("button", { type: "button", class: "chip", "data-label": label,
    "aria-label": `Remove the label ${label}`, onclick: (event) => { event.currentTarget.remove(); at("label").focus(); search(); } },
  label, make("span", { "aria-hidden": "true" }, " ✕")));
}

function within() {
  const value = Number(at("radius").value);
  at("within").textContent = value >= about.bits ? "any" : `≤ ${value}`;
}

function takePicture(file) {
  if (!about.queries.image) return problem("The model was trained on features: it reads no pictures.");
  if (!file || !file.type.startsWith("image/")) return problem("This is no picture. Drop a file such as a JPEG or PNG.");
  if (file.size > about.limits.upload) return problem(`The picture has more than ${number(about.limits.upload)} bytes.`);
  setQuery({ kind: "picture", file, url: URL.createObjectURL(file) });
  search();
}

function submit(event) {
  event.preventDefault();
  const text = at("q").value.trim();
  if (text) setQuery({ kind: "text", text });
  else if (query.kind === "text") setQuery({ kind: "none" });
  if (query.kind === "none") history.pushState(null, "", location.pathname);
  search({ remember: query.kind !== "none" });
}

// -- the keyboard --------------------------------------------------------------------------------------------------

function keys(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (at("details").open) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key], rank = Number(at("details").dataset.rank) + by;
    if (by && !typing && shown[rank]) openDetails(rank);
    return;
  }
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    at("q").focus();
    at("q").select();
  }
  const cards = [...at("results").querySelectorAll(".open")], here = cards.indexOf(document.activeElement);
  if (here < 0 || !event.key.startsWith("Arrow")) return;
  const top = cards[0].getBoundingClientRect().top;
  const columns = Math.max(1, cards.findIndex((one) => one.getBoundingClientRect().top > top + 1));
  const to = cards[here + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key]];
  if (to) {
    event.preventDefault();
    to.focus();
  }
}

// -- dark and light ------------------------------------------------------------------------------------------------

function theme(chosen) {
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  if (chosen) document.documentElement.dataset.theme = chosen;
  at("theme").textContent = dark ? "Light" : "Dark";
  at("theme").setAttribute("aria-label", dark ? "Use the light theme" : "Use the dark theme");
  return dark;
}

function stored(value) {
  try {
    if (value) localStorage.setItem("theme", value);
    return localStorage.getItem("theme");
  } catch {
    return value; // a browser that keeps nothing
  }
}

// -- beginning -----------------------------------------------------------------------------------------------------

function listen() {
  at("ask").addEventListener("submit", submit);
  at("choose").addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", () => { takePicture(at("file").files[0]); at("file").value = ""; });
  at("drop-given").addEventListener("click", () => {
    setQuery({ kind: "none" });
    history.pushState(null, "", location.pathname);
    search();
    at("q").focus();
  });
  at("label").addEventListener("change", () => { if (at("label").value) addLabel(at("label").value); at("label").value = ""; search(); });
  at("k").addEventListener("change", () => search());
  at("radius").addEventListener("input", within);
  at("radius").addEventListener("change", () => search());
  at("details").addEventListener("click", (event) => { if (event.target === at("details")) at("details").close(); });
  at("details").addEventListener("close", () => at("results").querySelectorAll(".open")[at("details").dataset.rank]?.focus());
  addEventListener("keydown", keys);
  addEventListener("popstate", restore);
  let depth = 0;
  const files = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  addEventListener("dragenter", (event) => { if (files(event)) { depth += 1; at("drop").hidden = false; } });
  addEventListener("dragleave", (event) => { if (files(event) && --depth <= 0) { depth = 0; at("drop").hidden = true; } });
  addEventListener("dragover", (event) => { if (files(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    depth = 0;
    at("drop").hidden = true;
    if (!files(event)) return;
    event.preventDefault();
    takePicture(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => { if (event.clipboardData?.files.length) takePicture(event.clipboardData.files[0]); });
}

async function begin() {
  theme(stored());
  at("theme").addEventListener("click", () => theme(stored(theme(document.documentElement.dataset.theme) ? "light" : "dark")));
  try {
    about = await ask("/about");
  } catch (error) {
    return problem(error.message);
  }
  const what = { image: "pictures", text: "texts" }[about.modality] || "items";
  at("about").replaceChildren(`${number(about.codes)} ${what}`, make("span", {}, ` · ${about.bits} bits`));
  at("radius").max = at("radius").value = about.bits;
  const steps = STEPS.filter((step) => step <= about.limits.k);
  at("k").append(...(steps.length ? steps : [about.limits.k]).map((step) => make("option", { value: step }, String(step))));
  at("k").value = steps.includes(24) ? 24 : at("k").options[0].value;
  at("labels").hidden = !about.labels.length;
  at("label").append(...about.labels.map(({ name, count }) => make("option", { value: name }, `${name} (${number(count)})`)));
  at("choose").hidden = !about.queries.image;
  at("q").disabled = !about.queries.text;
  const by = [about.queries.text && "words", about.queries.image && "a picture"].filter(Boolean).join(" or by ");
  at("title").textContent = by ? `Search by ${by}` : "Search by example";
  if (!about.queries.text) at("q").placeholder = "The model was trained on features: it reads no words";
  at("q").maxLength = about.limits.text;
  listen();
  restore();
}

begin();
