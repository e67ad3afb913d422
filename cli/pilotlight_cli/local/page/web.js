/* What answers the form: the model itself, in this browser, once the digests of its files are those of the lock. */
const web = model.web;
for (const id of ["curl", "openapi"]) at(id).closest("section").hidden = true;

const refusal = (sentence, path) => Object.assign(new Error(sentence), {path});
const hex = buffer => [...new Uint8Array(buffer)].map(byte => byte.toString(16).padStart(2, "0")).join("");

async function verified({name, sha256}) {
  if (!crypto.subtle) throw refusal("this page checks the model's digest, which browsers allow on https:// and on localhost alone", "");
  const response = await fetch(name);
  if (!response.ok) throw refusal(`${name}: status ${response.status}`, "");
  const bytes = await response.arrayBuffer();
  const found = hex(await crypto.subtle.digest("SHA-256", bytes));
  if (found !== sha256) throw refusal(`${name} has SHA-256 ${found}, expected ${sha256} as the lock says; export the page again`, "");
  return new Uint8Array(bytes);
}
async function start() {
  const [first, ...others] = await Promise.all(web.files.map(verified));
  ort.env.wasm.wasmPaths = new URL("ort/", document.baseURI).href;
  ort.env.wasm.numThreads = 1; // more need headers that a static server does not send
  return ort.InferenceSession.create(first, {
    executionProviders: ["wasm"],
    graphOptimizationLevel: web.optimization === "off" ? "disabled" : "all",
    externalData: others.map((data, i) => ({path: web.files[i + 1].name, data})),
  });
}
const session = start();
session.catch(error => refuse("", error.message));

const ARRAYS = {
  FP32: ["float32", Float32Array], FP64: ["float64", Float64Array], BOOL: ["bool", Uint8Array], BYTES: ["string", Array],
  INT8: ["int8", Int8Array], INT16: ["int16", Int16Array], INT32: ["int32", Int32Array], INT64: ["int64", BigInt64Array],
  UINT8: ["uint8", Uint8Array], UINT16: ["uint16", Uint16Array], UINT32: ["uint32", Uint32Array], UINT64: ["uint64", BigUint64Array],
};
const isFloat = datatype => datatype.startsWith("FP");

/* Nothing is cast silently, as in the function. */
function checked(value, {datatype, missing}, path) {
  const found = value === undefined ? "nothing" : JSON.stringify(value);
  if (value === null && missing) return isFloat(datatype) ? NaN : "";
  const kind = datatype === "BYTES" ? "string" : datatype === "BOOL" ? "boolean" : "number";
  if (typeof value !== kind) throw refusal(`expected a ${kind}, found ${found}`, path);
  if (kind !== "number") return kind === "boolean" ? Number(value) : value;
  if (isFloat(datatype)) {
    if (!Number.isFinite(datatype === "FP32" ? Math.fround(value) : value)) throw refusal(`number is out of range for ${datatype}, found ${found}`, path);
    return value;
  }
  if (!Number.isSafeInteger(value)) throw refusal(`expected a whole number, found ${found}`, path);
  const [, type] = ARRAYS[datatype];
  const isBig = datatype.endsWith("64");
  const stored = isBig ? BigInt(value) : value;
  if (type.of(stored)[0] !== stored) throw refusal(`number is out of range for ${datatype}, found ${found}`, path);
  return stored;
}
function valuesOf(instance, path) {
  const isNamed = isObject(instance);
  if (!isNamed && !(Array.isArray(instance) && instance.length === model.features.length))
    throw refusal(`expected ${model.features.length} features`, path);
  return model.features.map((feature, i) => {
    const place = isNamed ? `${path}[${JSON.stringify(feature.name)}]` : `${path}[${i}]`;
    return checked(isNamed ? instance[feature.name] : instance[i], feature, place);
  });
}
function tensorOf({datatype, shape}, values, rows) {
  const [type, array] = ARRAYS[datatype];
  return new ort.Tensor(type, array.from(values), [rows, ...shape.slice(1).map(() => values.length / rows)]);
}
const plain = value => typeof value === "bigint" ? Number(value) : value;
const finite = value => typeof value === "number" && !Number.isFinite(value) ? null : value;
/* Return an output's value for each instance; of a column one number. */
function byInstance({dims, data}, {datatype}, keepsColumn = false) {
  const values = Array.from(data, value => datatype === "BOOL" ? Boolean(value) : finite(plain(value)));
  const nest = (part, [length, ...inner]) => length === undefined ? part[0]
    : Array.from({length}, (_, i) => nest(part.slice(i * part.length / length, (i + 1) * part.length / length), inner));
  return dims.length === 2 && dims[1] === 1 && !keepsColumn ? values : nest(values, dims);
}
async function answer(instances, paths) {
  const loaded = await session;
  const rows = instances.map((instance, i) => valuesOf(instance, paths(i)));
  const feeds = Object.fromEntries(model.inputs.map((input, column) =>
    [input.name, tensorOf(input, model.inputs.length === 1 ? rows.flat() : rows.map(row => row[column]), rows.length)]));
  const results = await loaded.run(feeds);
  const of = role => web.outputs.find(output => output.role === role);
  const label = of("label"), columns = of("probabilities");
  const reply = {};
  if (columns) reply.probabilities = byInstance(results[columns.name], columns, true);
  if (label) reply.predictions = byInstance(results[label.name], label);
  else if (columns) reply.predictions = reply.probabilities.map(row => row.includes(null) ? null : model.labels[row.indexOf(Math.max(...row))]);
  const tensors = web.outputs.filter(output => output.role === "tensor").map(output => [output.name, byInstance(results[output.name], output)]);
  const isClassifier = Boolean(label || columns);
  if (!isClassifier) reply.predictions = instances.map((_, i) =>
    tensors.length === 1 ? tensors[0][1][i] : Object.fromEntries(tensors.map(([name, values]) => [name, values[i]])));
  else if (tensors.length) reply.outputs = Object.fromEntries(tensors);
  return {...reply, model_name: web.name, model_version: web.version};
}
async function post(path, text) {
  const body = JSON.parse(text);
  if (path.endsWith("/predict_batch")) return answer(body.instances, i => `$.instances[${i}]`);
  const {predictions: [prediction], probabilities, outputs, ...name} = await answer([body.features], () => "$.features");
  const chosen = model.labels.length === 2 ? 1 : model.labels.indexOf(prediction);
  return {
    prediction,
    ...(probabilities && {probability: probabilities[0][chosen] ?? null}),
    ...(probabilities && {probabilities: probabilities[0]}),
    ...(outputs && {outputs: Object.fromEntries(Object.entries(outputs).map(([key, values]) => [key, values[0]]))}),
    ...name,
  };
}
