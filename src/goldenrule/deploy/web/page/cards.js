// One card a picture: what it shows of its file, of its row, and of why.
import { form, posted } from "./sending.js";

const MOST_BARS = 5, THUMB_PX = 384;
const all = (inside, selector) => inside.querySelectorAll(selector);
const one = (inside, selector) => inside.querySelector(selector);
const made = (name) => document.getElementById(name).content.cloneNode(true).firstElementChild;
const shown = (element, text) => { element.textContent = text; element.hidden = false; };

export function percent(share) {
  const digits = share > 0.9995 && share < 1 ? 2 : 1;
  if (share > 0 && share < 0.0005) return "below 0.1 %";
  if (share > 0.99995 && share < 1) return "above 99.99 %";
  return `${(100 * share).toFixed(digits)} %`;
}

// Pictures are drawn one after another, small, and when one comes near: hundreds of photos would fill the memory.
let drawing = Promise.resolve();
const files = new WeakMap();
const comingNear = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    if (!isIntersecting) continue;
    comingNear.unobserve(target);
    draw(target, files.get(target));
  }
}, { rootMargin: "800px" });

function draw(card, file) {
  drawing = drawing.then(async () => {
    try {
      const bitmap = await createImageBitmap(file);
      const canvas = one(card, ".thumb");
      const scale = Math.min(1, THUMB_PX / Math.max(bitmap.width, bitmap.height));
      canvas.width = Math.max(1, Math.round(scale * bitmap.width));
      canvas.height = Math.max(1, Math.round(scale * bitmap.height));
      canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      bitmap.close();
      canvas.hidden = false;
      one(card, ".look .gone").hidden = true;
    } catch { /* this browser knows no such format: the server may */ }
  });
}

export function newCard(file, number) {
  const card = made("card");
  one(card, ".thumb").setAttribute("aria-label", `Picture ${file.name}`);
  one(card, ".path bdi").textContent = file.name;
  one(card, "h2").id = `picture-${number}`;
  one(card, "article").setAttribute("aria-labelledby", `picture-${number}`);
  files.set(card, file);
  comingNear.observe(card);
  return card;
}

function heading(card, text, share) {
  const title = one(card, "h2");
  title.replaceChildren(Object.assign(document.createElement("bdi"), { textContent: text }));
  if (share === undefined) return;
  title.append(" ", Object.assign(document.createElement("span"), { className: "sure", textContent: percent(share) }));
}

const ADVICE = {
  unsure: (about) => `Unsure: no class reaches ${percent(about.min_confidence)}, so there is no prediction. Have a person look at it.`,
  "out-of-distribution": () => "Out-of-distribution: unlike the training images, so the probabilities mean little. Have a person look at it; if such pictures are usual, label some and fit again.",
};

export function showRow(card, row, about) {
  const several = about.task === "multi";
  if (row.status === "unreadable") return showError(card, `It can't be read: ${row.reason ?? "no reason is known"}.`, "Unreadable");
  const best = row.prediction || (row.status === "ok" && several ? "No label" : "No prediction");
  heading(card, best, row.prediction && !several ? row.probability : undefined);
  const advice = ADVICE[row.status];
  if (advice) shown(one(card, ".alarm"), advice(about));
  bars(card, row.probabilities);
  if (row.set) shown(one(card, ".set"), inWords(row, about));
  one(card, ".ask").hidden = false;
}

function bars(card, probabilities) {
  const list = one(card, ".bars");
  const sorted = Object.entries(probabilities).sort(([, left], [, right]) => right - left);
  for (const [name, share] of sorted.slice(0, MOST_BARS)) {
    const bar = made("bar");
    one(bar, "bdi").textContent = name;
    one(bar, ".share").textContent = percent(share);
    one(bar, ".fill").style.width = `${100 * share}%`;
    list.append(bar);
  }
  list.hidden = false;
}

function inWords({ set, ood }, about) {
  const rule = about.coverage ? ` (${Math.round(1000 * about.coverage) / 10} % prediction set)` : "";
  if (ood) return "What a prediction set promises holds for pictures like those of the training, not for this one.";
  if (set.length === 1) return `Every class but ${set[0]} is ruled out${rule}.`;
  if (set.length === about.classes.length) return `No class can be ruled out${rule}.`;
  return `Can't rule out: ${set.join(", ")}${rule}.`;
}

export function showError(card, text, title = "No answer", again = null) {
  heading(card, title);
  shown(one(card, ".alarm"), text);
  const button = one(card, ".again");
  button.hidden = !again;
  button.onclick = () => {
    heading(card, "Waiting");
    one(card, ".alarm").hidden = button.hidden = true;
    again();
  };
}

// The button of a card that opens and closes what speaks for its class.
export function explainable(card, file, row, about) {
  const button = one(card, ".ask"), place = one(card, ".because");
  button.setAttribute("aria-label", `Why? ${file.name}`);
  button.onclick = () => {
    const opening = place.hidden;
    place.hidden = !opening;
    button.setAttribute("aria-expanded", String(opening));
    if (opening && !place.childElementCount) {
      place.append(document.getElementById("because").content.cloneNode(true));
      fillSelect(place, file, about);
      explain(place, file, "");
    }
  };
}

function fillSelect(place, file, about) {
  const select = one(place, "select");
  for (const name of about.classes) select.append(new Option(name, name));
  select.onchange = () => explain(place, file, select.value);
}

async function explain(place, file, of) {
  const told = one(place, ".told"), turn = (place.turn ?? 0) + 1;
  place.turn = turn;
  told.textContent = "Looking ...";
  const { status, value } = await posted(`explain?of=${encodeURIComponent(of)}`, form([file]));
  if (turn !== place.turn) return; // another class was asked for meanwhile
  if (status !== 200) {
    told.textContent = value.error;
    return;
  }
  one(place, ".beside").hidden = false;
  const agreeing = value.nearest.filter((near) => near.classes.includes(value.prediction)).length;
  told.textContent = value.nearest.length ? `${agreeing} of the ${value.nearest.length} nearest training images are ${value.prediction}.` : "";
  showHeat(place, value);
  showNearest(place, value);
  one(place, ".notes").replaceChildren(...value.notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
}

function showHeat(place, { picture, heat_map: heat, prediction }) {
  const image = one(place, ".heat img"), box = one(place, ".controls input");
  one(place, "select").value = heat?.of ?? prediction;
  for (const label of all(place, ".controls label")) label.hidden = !heat;
  const show = () => {
    const on = heat && box.checked;
    image.src = on ? heat.picture : picture;
    image.alt = on ? `Heat map of ${heat.of}: bright where the network sees what speaks for it` : "The picture, without its heat map";
  };
  const speaks = heat?.values.flat().some((value) => value > 0);
  one(place, ".speaks").textContent = heat ? (speaks ? `Bright: what speaks for ${heat.of}. What is pale at the edges is not seen.` : `Nothing speaks for ${heat.of}.`) : "";
  box.onchange = show;
  show();
}

function showNearest(place, { nearest, prediction }) {
  one(place, ".near").hidden = !nearest.length;
  one(place, ".near ol").replaceChildren(...nearest.map((near) => {
    const item = made("near"), image = one(item, "img"), names = near.classes.join(", ") || "no class";
    one(item, "bdi").textContent = names;
    one(item, "bdi").className = near.classes.includes(prediction) ? "" : "other";
    one(item, ".alike").textContent = near.similarity.toFixed(2);
    one(item, ".copy").hidden = !near.same_file;
    image.hidden = !near.picture;
    one(item, ".gone").hidden = Boolean(near.picture);
    if (near.picture) image.src = near.picture;
    image.alt = `Training image ${near.path}`;
    image.title = near.path;
    return item;
  }));
}
