// The page of goldenrule review: it shows cards, and sends decisions. What holds is what the server has written down.

const POLL_MS = 1000, KEPT_PICTURES = 120, SIDE = 1000, SMALL_SIDE = 240;
const WORDS = { conflict: "Conflicting labels", label: "Doubtful labels", leak: "Leaks", mistake: "Confident mistakes", ood: "Odd images", duplicate: "Duplicates" };
const DONE = { keep: "Kept", remove: "Removed", unsure: "Unsure", skip: "Skipped" };
const token = location.hash.slice(1);
const at = (id) => document.getElementById(id);
const session = (sessionStorage.review ??= crypto.randomUUID().slice(0, 8));

let queue = { cards: [], classes: [] };
let place = -1, card = null, revision = 0, last = null, busy = true, showing = 0;
// while a decision is on its way, and until the next card is there, keys do nothing: none is decided unseen
const wait = (is) => { busy = is; at("card").setAttribute("aria-busy", String(is)); };
const decisions = new Map(), mine = [], pictures = new Map(), loaded = new Map();

async function ask(path, body) {
  const headers = { authorization: `Bearer ${token}` };
  const how = body ? { method: "POST", headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body) } : { headers };
  let answer;
  try {
    answer = await fetch(path, how);
  } catch {
    throw new Error("goldenrule review is not running any more: start it again, and open its new address. Every decision shown as made is saved.");
  }
  if (!answer.ok) throw Object.assign(new Error((await answer.json()).error), { status: answer.status });
  return answer;
}

const json = async (path, body) => (await ask(path, body)).json();

function made(tag, attributes = {}, ...children) {
  const one = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) name === "class" ? (one.className = value) : (one[name] = value);
  one.append(...children);
  return one;
}

function picture(row, side) {
  const key = `${row}/${side}`;
  if (!pictures.has(key)) {
    pictures.set(key, ask(`/api/image/${row}?side=${side}`).then((answer) => answer.blob()).then((blob) => URL.createObjectURL(blob)));
    pictures.get(key).catch(() => pictures.delete(key));
    if (pictures.size > KEPT_PICTURES) {
      const [oldest, address] = pictures.entries().next().value;
      pictures.delete(oldest);
      address.then(URL.revokeObjectURL, () => {});
    }
  }
  return pictures.get(key);
}

function shown(row, side, alt) {
  const image = made("img", { alt });
  const frame = made("div", { class: "frame" }, image);
  picture(row, side).then((address) => { image.src = address; }, (error) => image.replaceWith(made("span", { class: "gone" }, error.message)));
  return frame;
}

const cardOf = (id) => {
  if (!loaded.has(id)) {
    loaded.set(id, json(`/api/card/${id}`));
    loaded.get(id).catch(() => loaded.delete(id));
  }
  return loaded.get(id);
};

const wanted = (one) => at("kind").value === "" || one.kinds.includes(at("kind").value);

function next(from, step = 1, open = true) {
  const count = queue.cards.length;
  for (let k = 1; k <= count; k++) {
    const number = (((from + step * k) % count) + count) % count;
    const one = queue.cards[number];
    if (wanted(one) && !(open && decisions.has(one.id))) return number;
  }
  return -1;
}

async function show(number, { focus = true } = {}) {
  const turn = ++showing;
  wait(true);
  place = number;
  if (number < 0) return finished();
  try {
    const found = await cardOf(queue.cards[number].id);
    if (turn !== showing) return;
    card = found;
    draw();
    if (focus) at("reason").focus({ preventScroll: false });
    wait(false);
    const later = next(number);
    if (later >= 0 && later !== number) cardOf(queue.cards[later].id).then((one) => one.images.slice(0, 4).forEach((image) => picture(image.row, SIDE)), () => {});
  } catch (error) {
    complain(error);
  }
}

function finished() {
  card = null;
  wait(false);
  at("reason").textContent = queue.cards.length ? "Every card here is decided." : "Nothing is suspect.";
  at("more").replaceChildren();
  at("decision").textContent = "End the review with Ctrl-C in the terminal: it says how to fit with the decisions.";
  at("images").replaceChildren();
  at("near").replaceChildren();
  at("classes").replaceChildren();
  for (const name of ["images-title", "near-title"]) at(name).hidden = true;
  able();
}

function draw() {
  const several = card.images.length > 1;
  document.title = `Review ${queue.run}`;
  for (const name of ["images-title", "near-title"]) at(name).hidden = false;
  at("reason").textContent = card.reasons[0];
  at("more").replaceChildren(...card.reasons.slice(1).map((reason) => made("li", {}, reason)));
  at("images-title").textContent = several ? `${card.images.length + card.more} copies: decide on those that are marked` : "This image";
  at("images").classList.toggle("several", several);
  at("images").replaceChildren(...card.images.map((image) => {
    const about = made("figcaption", {}, made("bdi", { class: "of" }, image.label), made("bdi", { class: "path" }, `${image.path}${image.split ? ` (${image.split})` : ""}`));
    if (several) {
      const box = made("input", { type: "checkbox", checked: image.marked, value: String(image.row) });
      about.append(made("br"), made("label", {}, box, `Decide on this one`, made("span", { class: "hidden" }, ` ${image.path}`)));
    }
    return made("figure", {}, shown(image.row, SIDE, `${image.path}, labelled ${image.label}`), about);
  }));
  if (card.more) at("images").append(made("p", { class: "note" }, `... and ${card.more} more, which are decided alike where they are marked.`));
  at("near").replaceChildren(...card.neighbours.map((group) => made("div", { class: "near" }, made("h3", {}, made("bdi", {}, group.label)),
    group.images.length ? made("div", { class: "tiles" }, ...group.images.map((image) => shown(image.row, SMALL_SIDE, `${image.path}, labelled ${image.label}`))) : made("p", { class: "note" }, "No other image."))));
  at("suggested").querySelector("span").textContent = card.suggested ? `Relabel as ${card.suggested}` : "Relabel";
  at("classes").replaceChildren(...card.choices.map((name, number) => {
    const button = made("button", { type: "button" }, made("kbd", {}, String(number + 1)), made("bdi", {}, name));
    button.setAttribute("aria-keyshortcuts", String(number + 1));
    button.addEventListener("click", () => decide("relabel", name));
    return button;
  }));
  at("name").value = "";
  able();
  drawDecision();
}

function able() {
  for (const id of ["keep", "remove", "unsure", "skip"]) at(id).disabled = !card;
  at("suggested").disabled = !card?.suggested;
  at("undo").disabled = !(mine.length || last);
}

function said(decision) {
  return decision.verdict === "relabel" ? `Relabelled as ${decision.to}` : DONE[decision.verdict];
}

function drawDecision() {
  const held = card && decisions.get(card.id);
  at("decision").textContent = held ? `${said(held)}. Decide again to change it.` : "";
}

function drawCounts(state) {
  at("count").textContent = `${state.decided} of ${state.cards} decided`;
  at("bar").max = Math.max(state.cards, 1);
  at("bar").value = state.decided;
  const found = state.refit;
  document.querySelector(".numbers").classList.toggle("busy", found.busy);
  if (found.problem) at("numbers").textContent = found.problem;
  else if (found.after) {
    const where = found.evaluated_on === "valid" ? "validation" : "cross-validated";
    at("numbers").replaceChildren(
      `Linear head, ${where}, n = ${found.n}, labels as decided: before `, made("b", {}, found.before_text), ", now ", made("b", {}, found.after_text), ". ", found.sentence,
      found.basis === "held out" ? "" : " Used for selection: doubtful labels were looked at, the others not.", found.busy ? " Fitting ..." : "");
  }
}

async function poll() {
  const state = await json(`/api/state?after=${revision}`);
  for (const [id, held] of state.changes) {
    const before = decisions.get(id);
    held ? decisions.set(id, held) : decisions.delete(id);
    loaded.delete(id);
    if (card?.id === id && !busy && held?.number !== before?.number) at("said").textContent = held ? `${said(held)}, in another tab.` : "Undone, in another tab.";
  }
  revision = state.revision;
  last = state.last;
  drawCounts(state);
  able();
  drawDecision();
}

function marked() {
  const boxes = [...at("images").querySelectorAll("input")];
  return boxes.length ? boxes.filter((box) => box.checked).map((box) => Number(box.value)) : null;
}

async function decide(verdict, to = "") {
  if (busy || !card) return;
  wait(true);
  at("error").textContent = "";
  try {
    const sent = { card: card.id, verdict, to, session, seen: decisions.get(card.id)?.number ?? 0, rows: marked() };
    const done = await json("/api/decide", sent);
    mine.push(done.number);
    await poll();
    const images = done.images > 1 ? ` (${done.images} images)` : "";
    at("said").textContent = `${said({ verdict, to })}${images}: ${card.images[0].path}`;
    await show(next(place));
  } catch (error) {
    wait(false);
    if (error.status === 409) await poll();
    complain(error);
  }
}

async function undo() {
  if (busy) return;
  const number = mine.length ? mine[mine.length - 1] : last;
  if (!number) return;
  wait(true);
  at("error").textContent = "";
  const [id] = [...decisions].find(([, held]) => held.number === number) ?? [];
  try {
    await json("/api/undo", { number, session });
    mine.splice(mine.indexOf(number), mine.includes(number) ? 1 : 0);
    await poll();
    at("said").textContent = "Undone.";
    const back = queue.cards.findIndex((one) => one.id === id);
    await show(back >= 0 ? back : place);
  } catch (error) {
    mine.splice(mine.indexOf(number), mine.includes(number) ? 1 : 0);
    wait(false);
    complain(error);
  }
}

function complain(error) {
  at("error").textContent = error.message;
}

function move(step) {
  if (busy) return;
  const number = next(place, step, false);
  if (number >= 0) show(number);
}

const KEYS = {
  k: () => decide("keep"), x: () => decide("remove"), u: () => decide("unsure"), s: () => decide("skip"), z: undo,
  r: () => card?.suggested && decide("relabel", card.suggested), l: () => at("name").focus(),
  ArrowRight: () => move(1), ArrowLeft: () => move(-1),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const typing = event.target === at("name");
  if (event.key === "Escape" && typing) return at("reason").focus();
  if (typing || event.target === at("kind")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const choice = /^[1-9]$/.test(key) && card?.choices[Number(key) - 1];
  const act = choice ? () => decide("relabel", choice) : KEYS[key];
  if (!act) return;
  event.preventDefault();
  act();
});
for (const verdict of ["keep", "remove", "unsure", "skip"]) at(verdict).addEventListener("click", () => decide(verdict));
at("suggested").addEventListener("click", KEYS.r);
at("undo").addEventListener("click", undo);
at("back").addEventListener("click", () => move(-1));
at("on").addEventListener("click", () => move(1));
at("kind").addEventListener("change", () => show(next(-1)));
at("other").addEventListener("submit", (event) => {
  event.preventDefault();
  if (busy) return;
  const typed = at("name").value.trim();
  const fits = queue.classes.filter((name) => name.toLowerCase().startsWith(typed.toLowerCase()));
  const name = queue.classes.includes(typed) ? typed : fits.length === 1 ? fits[0] : "";
  if (!name) return complain(new Error(typed ? `${typed} is ${fits.length ? `the beginning of ${fits.length} classes` : "no class of this run"}: type one of its classes.` : "Type the name of a class."));
  at("reason").focus();
  decide("relabel", name);
});

async function start() {
  if (!token) throw new Error("This address lacks its token: open the one that goldenrule review has printed.");
  queue = await json("/api/queue");
  at("run").textContent = queue.run;
  const kinds = Object.keys(WORDS).filter((kind) => queue.cards.some((one) => one.kinds.includes(kind)));
  const count = (kind) => queue.cards.filter((one) => one.kinds.includes(kind)).length;
  at("kind").append(made("option", { value: "" }, `All (${queue.cards.length})`), ...kinds.map((kind) => made("option", { value: kind }, `${WORDS[kind]} (${count(kind)})`)));
  at("names").append(...queue.classes.map((name) => made("option", { value: name })));
  await poll();
  await show(next(-1));
  const again = async () => {
    if (!document.hidden && !busy) await poll().then(() => at("error").classList.contains("lost") && lost(false), () => lost(true));
    setTimeout(again, POLL_MS);
  };
  setTimeout(again, POLL_MS);
}

function lost(is) {
  at("error").classList.toggle("lost", is);
  at("error").textContent = is ? "goldenrule review does not answer: is it still running? Every decision shown as made is saved." : "";
}

start().catch(complain);
