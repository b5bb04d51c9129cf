/* The data of the page: columns of all images from the start, the details of an image on demand. */

const data = JSON.parse(byId('data').textContent);
const explain = data.kind === 'explain', training = data.kind === 'train-gap', asked = data.kind === 'ask';
const captions = data.kind === 'caption' || asked; // texts with a map for each part
const OK = 0, FAILED = 1, BLANK = 2, STATUS = ['ok', 'failed', 'blank'];
const classes = data.classes || [];
const labelled = data.judged > 0;

/* Parts stand in the page, or in scripts beside it: a page opened from a disk may not fetch. */

const parts = new Map(), arriving = new Map();
window.camxPart = (name, value) => arriving.get(name)(value);

function loadPart(name) {
  if (!parts.has(name)) parts.set(name, name in data.parts ? Promise.resolve(data.parts[name]) : loadElement(name));
  return parts.get(name);
}

function loadElement(name) { // of a single file of many images
  const node = document.querySelector(`script[data-part="${name}"]`);
  return node ? Promise.resolve(JSON.parse(node.textContent)) : loadScript(name);
}

function loadScript(name) {
  return new Promise((done, fail) => {
    arriving.set(name, done);
    const file = `${data.base}${name}.js`, script = h('script', { src: file });
    script.onload = () => script.remove();
    script.onerror = () => fail(new Error(`The file ${file} is missing. Keep the folder report/ together.`));
    document.head.append(script);
  });
}

/* Columns: a value for each image, in input order. Classes are indices into `classes`, −1 for none. */

const imageCount = data.rows || 0;
const MEASURES = data.measures || ['prob', 'area', 'border', 'entropy', 'center_x', 'center_y', 'peak'];
const columns = {
  image: new Array(imageCount),
  status: new Uint8Array(imageCount),
  correct: new Int8Array(imageCount), // 1 right, 0 wrong, −1 without a label
};
for (const name of ['label', 'class', 'target']) columns[name] = new Int32Array(imageCount);
for (const name of MEASURES) columns[name] = new Float32Array(imageCount);
const errors = new Map(); // image → why it failed or is blank

async function loadColumns() {
  const wanted = [];
  for (let k = 0; k * data.chunk < imageCount; k++) wanted.push(loadPart(`rows-${k}`));
  (await Promise.all(wanted)).forEach((chunk, k) => {
    takeChunk(chunk, k * data.chunk);
    parts.delete(`rows-${k}`);
    delete data.parts[`rows-${k}`];
  });
}

function takeChunk(chunk, start) {
  for (let i = 0; i < chunk.image.length; i++) {
    columns.image[start + i] = chunk.image[i];
    columns.label[start + i] = chunk.label[i] < 0 ? -1 : data.labels[chunk.label[i]];
    for (const name of MEASURES) columns[name][start + i] = chunk[name][i] === null ? NaN : chunk[name][i];
  }
  for (const name of ['status', 'correct', 'class', 'target']) columns[name].set(chunk[name], start);
  for (const [i, text] of entries(chunk.errors)) errors.set(start + Number(i), text);
}

/* Attributes: by name its groups, and the group of each image; a number beyond the last group for none. */

const GROUPED = 'by.'; // before the name of an attribute: the filter on it
const attributes = new Map();

async function loadAttributes() {
  if (!data.attributes) return;
  (await loadPart('attributes')).forEach((packed, k) => {
    const { name, groups } = data.attributes[k], raw = bytes(packed);
    const codes = Uint16Array.from({ length: imageCount }, (_, i) => raw[2 * i] | raw[2 * i + 1] << 8);
    attributes.set(name, { groups, codes });
  });
}

/* Details: thumbnail, maps and top classes of an image. */

const detailGroups = new Map(); // those that are loaded

function isLoaded(i) {
  const group = Math.floor(i / data.group);
  return detailGroups.has(group) || `more-${group}` in data.parts;
}

async function detailsOf(i) {
  const group = Math.floor(i / data.group);
  if (!detailGroups.has(group)) detailGroups.set(group, await loadPart(`more-${group}`));
  return detailGroups.get(group)[i % data.group];
}
