// Rows as goldenrule predict writes them: predictions.csv, whose names no spreadsheet runs.
const FORMULA = /^'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

const cell = (name) => (FORMULA.test(name) && !NUMBER.test(name) ? `'${name}` : name);
const escaped = (name) => (name.includes("|") ? name.replaceAll("\\", "\\\\").replaceAll("|", "\\|") : name);
const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const number = (value) => (value === null || value === undefined ? "" : String(value));

export function csv(rows, classes) {
  const has = (name) => rows.some((row) => name in row);
  const columns = [
    ["path", (row) => cell(row.path)],
    ["status", (row) => row.status],
    ["prediction", (row) => cell(row.prediction)],
    ["probability", (row) => number(row.probability)],
  ];
  if (has("set")) columns.push(["set", (row) => cell(row.set.map(escaped).join(" | "))]);
  if (has("ood")) columns.push(["ood", (row) => (row.ood ? "yes" : "")], ["distance", (row) => number(row.distance)]);
  columns.push(["reason", (row) => cell(row.reason ?? "")]);
  for (const name of classes) columns.push([`p:${name}`, (row) => number(row.probabilities?.[name])]);
  const lines = [columns.map(([name]) => name), ...rows.map((row) => columns.map(([, of]) => of(row)))];
  return lines.map((line) => `${line.map(quoted).join(",")}\n`).join("");
}
