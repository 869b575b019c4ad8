// Classify pictures with a file of `goldenrule export`: nothing is uploaded, the file runs in this page.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1; // more would need the server's headers COOP and COEP
const MOST_SHOWN = 10;
const FILE = new URLSearchParams(location.search).get("model") ?? "photos.onnx";
const at = (id) => document.getElementById(id);
const say = (text) => { at("status").textContent = text; };

// The property "goldenrule" of an ONNX file: ModelProto.metadata_props is field 14, of key (1) and value (2)
function metadataOf(bytes) {
  function* fields(start, end) {
    let place = start;
    const number = () => {
      let value = 0, scale = 1, byte;
      do { byte = bytes[place++]; value += (byte & 127) * scale; scale *= 128; } while (byte & 128);
      return value;
    };
    while (place < end) {
      const tag = number(), kind = tag & 7;
      if (kind === 0) number();
      else if (kind === 1) place += 8;
      else if (kind === 5) place += 4;
      else { const length = number(); yield [tag >> 3, place, place + length]; place += length; }
    }
  }
  for (const [field, start, end] of fields(0, bytes.length)) {
    if (field !== 14) continue;
    const said = Object.fromEntries([...fields(start, end)].map(
      ([name, from, to]) => [name, new TextDecoder().decode(bytes.subarray(from, to))]));
    if (said[1] === "goldenrule") return JSON.parse(said[2]);
  }
  throw new Error(`${FILE} has no property "goldenrule": write it with goldenrule export`);
}

async function loaded() {
  const answer = await fetch(FILE);
  if (!answer.ok) throw new Error(`${FILE} can't be loaded (${answer.status}): put an exported file beside index.html`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return { about: metadataOf(bytes), session: await ort.InferenceSession.create(bytes) };
}

// Pixels as goldenrule sees them: upright, sRGB, alpha laid over white
async function pixelsOf(blob) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from]; rgb[to++] = rgba[from + 1]; rgb[to++] = rgba[from + 2];
  }
  return { rgb, height, width };
}

export async function classify({ rgb, height, width }) {
  const { session } = await classifier;
  const found = await session.run({ image: new ort.Tensor("uint8", rgb, [height, width, 3]) });
  return { probabilities: [...found.probabilities.data], distance: found.ood_distance?.data[0] };
}

async function show(blob) {
  try {
    say("Looking ...");
    const { about } = await classifier;
    const { probabilities, distance } = await classify(await pixelsOf(blob));
    const called = (name, probability) => about.task === "multi" && probability >= (about.thresholds?.values[name] ?? 0.5);
    const rows = about.classes.map((name, place) => ({ name, probability: probabilities[place], called: called(name, probabilities[place]) }))
      .sort((one, other) => other.probability - one.probability);
    at("probabilities").replaceChildren(...rows.slice(0, MOST_SHOWN).map(({ name, probability, called }) => {
      const row = document.createElement("tr"), meter = document.createElement("meter");
      meter.value = probability;
      meter.ariaLabel = name;
      row.append(...[called ? `✓ ${name}` : name, meter, `${(100 * probability).toFixed(1)} %`].map((content) => {
        const cell = document.createElement("td");
        cell.append(content);
        return cell;
      }));
      return row;
    }));
    URL.revokeObjectURL(at("picture").src);
    at("picture").src = URL.createObjectURL(blob);
    const far = about.ood && distance > about.ood.threshold;
    say(far ? "Out-of-distribution: it is unlike the training images, so don't rely on the probabilities." : "");
  } catch (error) {
    at("probabilities").replaceChildren();
    at("picture").removeAttribute("src");
    say(`This picture can't be classified: ${error.message}`);
  }
}

export const classifier = loaded();
classifier.then(() => {
  at("file").disabled = false;
  say("Ready.");
}, (error) => say(error.message));

at("file").addEventListener("change", ({ target }) => target.files[0] && show(target.files[0]));
const drop = at("drop");
for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.toggle("over", over); });
}
drop.addEventListener("drop", ({ dataTransfer }) => !at("file").disabled && dataTransfer.files[0] && show(dataTransfer.files[0]));
export { pixelsOf };
