/* The form: one request for one instance, sent to the model and to the second one, if there is one. */
const model = JSON.parse(document.getElementById("model").textContent);
const at = id => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const byFeature = model.features.length > 0;
const LONGEST = 20000; // characters of a request in a command
let shown = 0;
let picture = null; // the instance that an image gave, in JSON

at("name").textContent = model.title;
document.title = `${model.title} – Pilotlight`;
at("openapi").href = `${model.prefix}/openapi.json`;
at("about").textContent = byFeature
  ? `${model.features.length} feature${model.features.length > 1 ? "s" : ""}${model.labels.length ? `, ${model.labels.length} classes` : ""}`
  : model.inputs.map(input => `${input.name}: ${input.datatype} [${input.shape.join(", ")}]`).join("; ");
if (!byFeature) at("given").textContent = "Instance, in JSON";
if (model.other) {
  at("about").textContent += `, beside ${model.other.title}`;
  at("answer").textContent = `Prediction of ${model.title}`;
  at("second-name").textContent = `Prediction of ${model.other.title}`;
  at("second").hidden = false;
}

/* A field keeps what was typed: a number's text goes into the request as it is, with all of its digits. */
function field(feature) {
  const isText = feature.datatype === "BYTES";
  const control = feature.datatype === "BOOL"
    ? make("select", {}, make("option", {textContent: "true"}), make("option", {textContent: "false"}))
    : isText && model.features.length === 1
      ? make("textarea", {})
      : make("input", {type: "text", inputMode: isText ? "text" : "decimal", autocomplete: "off"});
  control.name = feature.name;
  if (feature.missing) control.placeholder = "missing";
  return make("label", {title: feature.missing ? `${feature.datatype}, may be empty` : feature.datatype}, feature.name, control);
}
if (byFeature) {
  at("fields").className = "fields";
  at("fields").append(...model.features.map(field));
} else {
  at("fields").append(make("label", {}, "One instance, in the format of /predict", make("textarea", {id: "instance", spellcheck: false})));
}
const controls = [...at("fields").querySelectorAll("input, select, textarea")];

function fill(index) {
  shown = index;
  picture = null;
  const instance = model.instances[index];
  if (instance !== undefined && byFeature)
    controls.forEach((control, i) => { control.value = instance[i] === null ? "" : String(instance[i]); });
  else if (instance !== undefined)
    controls[0].value = JSON.stringify(instance);
  const kind = model.generated ? "generated sample" : "golden sample";
  at("which").textContent = instance === undefined ? "" : `${kind} ${index + 1} of ${model.instances.length}`;
  at("next").hidden = model.instances.length < 2;
  showCurl();
}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
function literal(text, feature) {
  if (feature.missing && text === "") return "null";
  if (feature.datatype === "BOOL") return ["true", "false"].includes(text.toLowerCase()) ? text.toLowerCase() : JSON.stringify(text);
  return feature.datatype !== "BYTES" && NUMBER.test(text.trim()) ? text.trim() : JSON.stringify(text);
}
function record(texts) {
  const pairs = texts.map((text, i) => `${JSON.stringify(model.features[i].name)}: ${literal(text, model.features[i])}`);
  return `{${pairs.join(", ")}}`;
}
function body() {
  const instance = byFeature ? record(controls.map(control => control.value)) : picture ?? (controls[0].value.trim() || "null");
  return `{"features": ${instance}}`;
}
function showCurl() {
  const request = body();
  const isLong = request.length > LONGEST;
  const data = isLong ? "@request.json" : `'${request.replaceAll("'", "'\\''")}'`;
  at("curl").textContent = `curl ${location.origin}${model.prefix}/predict -H 'content-type: application/json' -d ${data}`;
  at("save").hidden = !isLong;
  at("copied").textContent = "";
}
function saveAs(name, type, text) {
  const link = make("a", {href: URL.createObjectURL(new Blob([text], {type})), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function bars(element, labels, probabilities) {
  const rows = probabilities.map((value, i) => ({name: String(labels[i] ?? i), value}));
  rows.sort((a, b) => (b.value ?? -1) - (a.value ?? -1));
  const drawn = rows.slice(0, 20).map(({name, value}, i) => {
    const bar = make("i");
    bar.style.width = `${Math.max(0, Math.min(1, value ?? 0)) * 100}%`;
    const shownValue = value === null ? "null" : value.toFixed(4);
    return make("div", {className: i ? "row" : "row first"}, make("span", {textContent: name}),
      make("div", {className: "track"}, bar), make("span", {className: "value", textContent: shownValue}));
  });
  element.replaceChildren(...drawn);
  element.hidden = drawn.length === 0;
}
function wrong(path) {
  for (const control of controls) {
    const quoted = [`.${control.name}`, `[${JSON.stringify(control.name)}]`];
    const marked = path && (!byFeature || quoted.some(end => path.endsWith(end)));
    (byFeature ? control.parentElement : control).classList.toggle("wrong", Boolean(marked));
    control.toggleAttribute("aria-invalid", Boolean(marked));
  }
}
const asText = value => typeof value === "string" ? value : JSON.stringify(value);
const isObject = value => value !== null && typeof value === "object" && !Array.isArray(value);

/* `side` is the prefix of the ids of an answer: none, or "second-". */
function show(side, labels, reply, took) {
  const several = isObject(reply.prediction);
  const outputs = {...(several ? reply.prediction : {}), ...(reply.outputs ?? {})};
  const text = several ? `${Object.keys(outputs).length} outputs` : asText(reply.prediction);
  at(`${side}prediction`).textContent = text;
  at(`${side}prediction`).className = text.length > 40 ? "prediction long" : "prediction";
  at(`${side}prediction`).toggleAttribute("tabindex", text.length > 40); // it may scroll
  if (text.length > 40) at(`${side}prediction`).tabIndex = 0;
  bars(at(`${side}bars`), labels, reply.probabilities ?? []);
  at(`${side}others`).replaceChildren(...Object.entries(outputs).map(([name, value]) =>
    make("tr", {}, make("th", {scope: "row", textContent: name}), make("td", {textContent: asText(value)}))));
  at(`${side}others`).hidden = Object.keys(outputs).length === 0;
  at(`${side}error`).hidden = true;
  at(`${side}took`).textContent = `${took.toFixed(0)} ms round trip`;
  at(`${side}took`).hidden = false;
}
function refuse(side, sentence, path) {
  at(`${side}prediction`).textContent = "";
  at(`${side}bars`).hidden = at(`${side}took`).hidden = at(`${side}others`).hidden = true;
  at(`${side}error`).textContent = path ? `${path}: ${sentence}` : sentence;
  at(`${side}error`).hidden = false;
}
async function ask({prefix, labels}, side) {
  const began = performance.now();
  try {
    const reply = await post(`${prefix}/predict`, body());
    show(side, labels, reply, performance.now() - began);
    return null;
  } catch (error) {
    refuse(side, error.path === undefined ? `no response: ${error.message}` : error.message, error.path);
    return error.path ?? "";
  }
}

at("form").addEventListener("submit", async event => {
  event.preventDefault();
  at("send").disabled = true;
  const asked = [ask(model, "")];
  if (model.other) asked.push(ask(model.other, "second-"));
  const paths = await Promise.all(asked);
  wrong(paths.find(path => path) ?? null);
  at("send").disabled = false;
});
at("form").addEventListener("input", event => {
  if (controls.includes(event.target)) picture = null;
  showCurl();
});
at("next").addEventListener("click", () => fill((shown + 1) % model.instances.length));
at("save").addEventListener("click", () => saveAs("request.json", "application/json", body()));
at("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(at("curl").textContent);
    at("copied").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(at("curl"));
    at("copied").textContent = "Selected: copy it with the keyboard.";
  }
});
function droppable(zone, control, use) {
  control.addEventListener("change", () => control.files[0] && use(control.files[0]));
  zone.addEventListener("dragover", event => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", event => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files[0]) use(event.dataTransfer.files[0]);
  });
}
fill(0);
