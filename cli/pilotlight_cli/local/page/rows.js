/* A CSV file: each line is a row of /predict_batch, and gets its prediction. */
const MOST_ROWS_SHOWN = 200;
let scoredLines = [];

/* RFC 4180: cells may be quoted, and then have commas, line breaks and doubled quotes in them. */
function parseCsv(text) {
  const lines = [];
  let cells = [], cell = "", quoted = false;
  const source = text.replace(/^\uFEFF/, "");
  for (let i = 0; i <= source.length; i++) {
    const character = source[i];
    if (quoted && character !== undefined) {
      if (character !== '"') cell += character;
      else if (source[i + 1] === '"') { cell += '"'; i++; }
      else quoted = false;
    } else if (character === '"' && cell === "") {
      quoted = true;
    } else if (character === "," || character === "\n" || character === "\r" || character === undefined) {
      cells.push(cell);
      cell = "";
      if (character === ",") continue;
      if (cells.length > 1 || cells[0] !== "") lines.push(cells);
      cells = [];
    } else {
      cell += character;
    }
  }
  return lines;
}
const csvCell = text => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

/* Return the instances in JSON, and say what is wrong with a file before it is sent. */
function instancesOf([names, ...lines]) {
  if (!lines.length) throw new Error("expected a line of column names and at least one line of values");
  const places = model.features.map(feature => names.indexOf(feature.name));
  const lacking = model.features.filter((_, i) => places[i] < 0).map(feature => JSON.stringify(feature.name));
  if (lacking.length) throw new Error(`the file lacks the column${lacking.length > 1 ? "s" : ""} ${lacking.join(", ")}`);
  return lines.map((cells, i) => {
    if (cells.length !== names.length) throw new Error(`row ${i + 1}: expected ${names.length} cells, found ${cells.length}`);
    return record(places.map(place => cells[place]));
  });
}
/* Return the columns that a reply adds: names, and for each row texts. */
function columnsOf(reply, labels, title) {
  const first = reply.predictions[0];
  const columns = isObject(first)
    ? Object.keys(first).map(name => [name, reply.predictions.map(prediction => asText(prediction[name]))])
    : [["prediction", reply.predictions.map(asText)]];
  (reply.probabilities ? labels : []).forEach((label, i) =>
    columns.push([`probability ${label}`, reply.probabilities.map(row => asText(row[i]))]));
  Object.entries(reply.outputs ?? {}).forEach(([name, values]) => columns.push([name, values.map(asText)]));
  return columns.map(([name, texts]) => [title ? `${title} ${name}` : name, texts]);
}
function showRows(names, lines, columns, differs) {
  const heads = ["row", ...columns.map(([name]) => name), ...names];
  const head = make("tr", {}, ...heads.map(name => make("th", {scope: "col", textContent: name})));
  const drawn = lines.slice(0, MOST_ROWS_SHOWN).map((cells, i) => {
    const added = columns.map(([, texts]) => make("td", {textContent: texts[i], className: differs.has(i) ? "differs" : ""}));
    return make("tr", {}, make("th", {scope: "row", textContent: i + 1}), ...added, ...cells.map(textContent => make("td", {textContent})));
  });
  at("table").replaceChildren(make("thead", {}, head), make("tbody", {}, ...drawn));
}
async function score(file) {
  at("rows-error").hidden = at("scroll").hidden = at("download").hidden = true;
  at("scored").textContent = `Scoring ${file.name} ...`;
  try {
    const parsed = parseCsv(await file.text());
    const request = `{"instances": [${instancesOf(parsed).join(", ")}]}`;
    const [names, ...lines] = parsed;
    const replies = await Promise.all([model, ...(model.other ? [model.other] : [])].map(({prefix}) => post(`${prefix}/predict_batch`, request)));
    const columns = columnsOf(replies[0], model.labels, model.other ? model.title : "");
    const differs = new Set();
    if (model.other) {
      columns.push(...columnsOf(replies[1], model.other.labels, model.other.title));
      replies[0].predictions.forEach((prediction, i) => {
        if (asText(prediction) !== asText(replies[1].predictions[i])) differs.add(i);
      });
    }
    showRows(names, lines, columns, differs);
    const apart = model.other ? `, ${differs.size} with different predictions` : "";
    const part = lines.length > MOST_ROWS_SHOWN ? `; the first ${MOST_ROWS_SHOWN} are shown` : "";
    at("scored").textContent = `${lines.length} row${lines.length > 1 ? "s" : ""} of ${file.name}${apart}${part}`;
    scoredLines = [[...names, ...columns.map(([name]) => name)], ...lines.map((cells, i) => [...cells, ...columns.map(([, texts]) => texts[i])])];
    at("scroll").hidden = at("download").hidden = false;
  } catch (error) {
    at("scored").textContent = "";
    at("rows-error").textContent = `${file.name}: ${error.path ? `${error.path}: ` : ""}${error.message}`;
    at("rows-error").hidden = false;
  }
}
if (byFeature) {
  at("rows").hidden = false;
  droppable(at("drop"), at("csv"), score);
  at("download").addEventListener("click", () =>
    saveAs("predictions.csv", "text/csv", scoredLines.map(cells => `${cells.map(csvCell).join(",")}\r\n`).join("")));
}
