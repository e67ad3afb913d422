/* An image for a model whose only input is one: drawn to the input's size, its channels as numbers. */
const SCALINGS = [
  ["0 to 1 (divided by 255)", value => value / 255],
  ["0 to 255, as they are", value => value],
  ["-1 to 1 (divided by 127.5, less 1)", value => value / 127.5 - 1],
  ["ImageNet's: 0 to 1, less the mean, by the deviation of each channel",
    (value, channel) => (value / 255 - [0.485, 0.456, 0.406][channel]) / [0.229, 0.224, 0.225][channel]],
];
const FREE_SIZE = 224; // where the model takes any size
let loadedImage = null;

function drawImage() {
  const {height, width, first} = model.image;
  const canvas = at("canvas");
  canvas.width = width > 0 ? width : FREE_SIZE;
  canvas.height = height > 0 ? height : FREE_SIZE;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "#fff"; // behind what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(loadedImage, 0, 0, canvas.width, canvas.height);
  const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
  const [name, scale] = SCALINGS[at("scaling").value];
  const value = (row, column, channel) => {
    const scaled = scale(data[4 * (row * canvas.width + column) + channel], channel);
    return Number.isInteger(scaled) ? scaled : Number(scaled.toPrecision(8));
  };
  const range = length => Array.from({length}, (_, i) => i);
  const rows = range(canvas.height), columns = range(canvas.width), channels = range(3);
  const instance = first
    ? channels.map(channel => rows.map(row => columns.map(column => value(row, column, channel))))
    : rows.map(row => columns.map(column => channels.map(channel => value(row, column, channel))));
  picture = JSON.stringify(instance);
  canvas.hidden = false;
  const order = first ? "3 channels (RGB), then rows" : "rows, then 3 channels (RGB)";
  at("pictured").textContent = `Sent as ${canvas.width} × ${canvas.height} pixels: ${order}; values ${name}`;
  controls[0].value = "";
  controls[0].placeholder = "the image above";
  showCurl();
}
async function loadImage(file) {
  try {
    loadedImage = await createImageBitmap(file);
    drawImage();
  } catch {
    at("pictured").textContent = `${file.name} is no image that this browser reads; choose a PNG or a JPEG`;
  }
}
if (model.image) {
  at("picture").hidden = false;
  const fitting = model.image.isInteger ? [1] : SCALINGS.keys();
  at("scaling").append(...[...fitting].map(i => make("option", {value: i, textContent: SCALINGS[i][0]})));
  droppable(at("picture"), at("image"), loadImage);
  at("scaling").addEventListener("change", () => loadedImage && drawImage());
}
