// Pictures come in here: dropped, pasted, chosen or taken. Nothing is asked but this server.
import { explainable, newCard, showError, showRow } from "./cards.js";
import { Sender } from "./sending.js";
import { csv } from "./table.js";

const SHOWN_CLASSES = 12;
const at = (name) => document.getElementById(name);
const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
let items = [], about = null, sender = null, number = 0;

async function ask() {
  try {
    about = await (await fetch("ready")).json();
  } catch {
    at("status").textContent = "The server can't be reached: load this page again.";
    return false;
  }
  const { classes } = about, more = classes.length - SHOWN_CLASSES;
  const kind = about.task === "multi" ? "labels, of which a picture may have several" : "classes";
  at("classes").textContent = `${classes.length.toLocaleString("en")} ${kind}: ${classes.slice(0, SHOWN_CLASSES).join(", ")}${more > 0 ? ` and ${more.toLocaleString("en")} more` : ""}.`;
  document.title = `${classes.slice(0, 3).join(", ")}${classes.length > 3 ? ", ..." : ""} - goldenrule`;
  if (sender) sender.about = about;
  return true;
}

async function add(files, left = 0) {
  if (!about && !(await ask())) return;
  sender ??= new Sender(about, answered);
  const fresh = files.map((file) => ({ file, card: newCard(file, ++number) }));
  items.push(...fresh);
  at("results").prepend(...fresh.map(({ card }) => card)); // the newest first: on a phone they are what one sees
  if (left) at("status").textContent = `${count(left, "other file")} left out.`;
  tell();
  sender.add(fresh);
}

async function answered(item, { row, error, again, classifier }) {
  item.done = true;
  if (!items.includes(item)) return; // cleared meanwhile
  if (row) {
    if (classifier !== about.classifier) await ask(); // a new one has taken over
    item.row = row;
    showRow(item.card, row, about);
    if (row.status !== "unreadable") explainable(item.card, item.file, row, about);
  } else {
    showError(item.card, error, "No answer", again ? () => { item.done = false; tell(); sender.add([item]); } : null);
  }
  tell();
}

// A screen reader is told at most once in two seconds, and at the end.
let toldAt = 0;
function tell() {
  const done = items.filter((item) => item.done).length, progress = at("progress");
  const ended = done === items.length;
  progress.hidden = ended;
  progress.max = Math.max(1, items.length);
  progress.value = done;
  at("table").hidden = !items.some((item) => item.row);
  if (!ended && Date.now() - toldAt < 2000) return;
  toldAt = Date.now();
  at("status").textContent = ended ? summary() : `${done.toLocaleString("en")} of ${count(items.length, "picture")} answered ...`;
}

function summary() {
  if (!items.length) return "";
  const found = new Map();
  for (const { row } of items) {
    const status = row?.status ?? "without an answer";
    found.set(status, (found.get(status) ?? 0) + 1);
  }
  const parts = [...found].map(([status, many]) => `${many.toLocaleString("en")} ${status}`);
  return `${count(items.length, "picture")}: ${parts.join(", ")}.`;
}

// Files of what was dropped; of folders the pictures in them.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return { files: [...transfer.files], left: 0 };
  const files = [];
  let left = 0;
  const walk = async (entry, inFolder) => {
    if (entry.isFile) {
      const file = await new Promise((done) => entry.file(done, () => done(null)));
      if (file && (!inFolder || file.type.startsWith("image/"))) files.push(file);
      else left++;
      return;
    }
    const reader = entry.createReader();
    for (let some; (some = await new Promise((done) => reader.readEntries(done, () => done([])))).length; ) {
      for (const one of some) await walk(one, true);
    }
  };
  for (const entry of entries) await walk(entry, false);
  return { files, left };
}

for (const [button, input] of [["choose", "files"], ["take", "camera"]]) {
  at(button).onclick = () => at(input).click();
  at(input).onchange = ({ target }) => {
    add([...target.files]);
    target.value = "";
  };
}
at("take").hidden = !navigator.maxTouchPoints; // a phone, a tablet
let over = 0;
const overPage = (change) => {
  over = change === 0 ? 0 : Math.max(0, over + change);
  document.body.classList.toggle("is-over", over > 0);
};
addEventListener("dragenter", () => overPage(1));
addEventListener("dragleave", () => overPage(-1));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", async (event) => {
  event.preventDefault();
  overPage(0);
  const { files, left } = await dropped(event.dataTransfer);
  if (files.length) add(files, left);
  else at("status").textContent = "No file was dropped: drop pictures, or a folder of them.";
});
addEventListener("paste", ({ clipboardData }) => {
  if (clipboardData.files.length) add([...clipboardData.files]);
  else at("status").textContent = "There is no picture in the clipboard.";
});

const table = () => csv(items.filter((item) => item.row).map((item) => item.row), about.classes);
at("download").onclick = () => {
  const address = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  Object.assign(document.createElement("a"), { href: address, download: "predictions.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
};
at("copy").hidden = !navigator.clipboard; // browsers have none on plain HTTP beyond this computer
at("copy").onclick = async () => {
  const copied = await navigator.clipboard.writeText(table()).then(() => true, () => false);
  at("status").textContent = copied ? "The rows were copied." : "The browser does not let this page copy: download them.";
};
at("clear").onclick = () => {
  sender.clear();
  items = [];
  at("results").replaceChildren();
  tell();
  at("choose").focus();
};
ask();
