// Pictures to rows: in portions, again where the server has too much to do; one bad file never stops the rest.
const PORTION_FILES = 16, PORTION_BYTES = 8e6, AT_ONCE = 2;
const OVERHEAD_BYTES = 65536; // of a form, around its files
const MOST_TRIES = 40, LONGEST_WAIT_MS = 8000;
const UNREACHABLE = "The server can't be reached.";
const TOO_MUCH = new Set([408, 429, 503]);

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Return a promise of a file's own fault, "" where it has none: it may be gone since it was chosen.
async function fault(file, about) {
  if (file.size > about.max_mb * 2 ** 20 - OVERHEAD_BYTES) return `It is larger than ${about.max_mb} MB, the most that is taken: make it smaller.`;
  try {
    await file.slice(0, 1).arrayBuffer();
    return "";
  } catch {
    return "The file can't be read any more: choose it again.";
  }
}

// Send a form until it is answered; return {status, value}, with the status 0 where nobody answers.
export async function posted(address, form) {
  let wait = 500;
  for (let tries = 1; ; tries++) {
    let answer = null;
    try {
      answer = await fetch(address, { method: "POST", body: form });
    } catch {
      if (tries >= 4) return { status: 0, value: { error: UNREACHABLE } };
    }
    if (answer && !(TOO_MUCH.has(answer.status) && tries < MOST_TRIES)) {
      const value = await answer.json().catch(() => ({ error: `The server answered with the status ${answer.status}.` }));
      return { status: answer.status, value };
    }
    const asked = 1000 * Number(answer?.headers.get("retry-after") ?? 0);
    await pause(Math.max(asked, wait) * (1 + Math.random()));
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }
}

export function form(files) {
  const made = new FormData();
  for (const file of files) made.append("files", file, file.name);
  return made;
}

// What is added is sent in its order; `told(item, answer)` gets {row} or {error} for each, and {classifier}.
export class Sender {
  constructor(about, told) {
    Object.assign(this, { about, told, waiting: [], running: 0 });
  }

  add(items) {
    this.waiting.push(...items);
    while (this.running < AT_ONCE && this.waiting.length) this.run();
  }

  clear() {
    this.waiting.length = 0;
  }

  async run() {
    this.running++;
    while (this.waiting.length) await this.send(this.portion());
    this.running--;
  }

  portion() {
    const most = Math.min(PORTION_FILES, this.about.max_files);
    let bytes = 0, count = 0;
    for (const { file } of this.waiting.slice(0, most)) {
      if (count && bytes + file.size > PORTION_BYTES) break;
      bytes += file.size;
      count++;
    }
    return this.waiting.splice(0, count);
  }

  async send(portion) {
    const faults = await Promise.all(portion.map(({ file }) => fault(file, this.about)));
    portion.forEach((item, place) => faults[place] && this.told(item, { error: faults[place] }));
    const whole = portion.filter((_, place) => !faults[place]);
    if (!whole.length) return;
    const { status, value } = await posted("predict", form(whole.map(({ file }) => file)));
    if (value.predictions?.length === whole.length) {
      whole.forEach((item, place) => this.told(item, { row: value.predictions[place], classifier: value.classifier }));
    } else if (whole.length > 1 && status !== 0) {
      for (const item of whole) await this.send([item]);
    } else {
      for (const item of whole) this.told(item, { error: value.error ?? UNREACHABLE, again: status === 0 || TOO_MUCH.has(status) });
    }
  }
}
