/* Tags: words that a person gives to images. They stay in this browser, for the page at this address, until they are
   saved as a file; `camx audit OUT --groups tags.csv` and `camx explain @tags.csv` read that file. */

const TAG_STORE = `camx tags ${location.pathname}`;
const tagged = new Map(); // image → its tags

function loadTags() {
  try {
    for (const [image, names] of entries(JSON.parse(localStorage.getItem(TAG_STORE) || '{}'))) tagged.set(image, names);
  } catch {
    tagged.clear(); // a browser that keeps nothing for pages from a disk, or a store that holds something else
  }
}

const tagsOf = (image) => tagged.get(image) || [];
const tagNames = () => [...new Set([...tagged.values()].flat())].sort();

function setTags(images, change) {
  for (const image of images) {
    const names = change(tagsOf(image));
    if (names.length) tagged.set(image, names); else tagged.delete(image);
  }
  try {
    localStorage.setItem(TAG_STORE, JSON.stringify(Object.fromEntries(tagged)));
  } catch (error) {
    showError(new Error(`This browser keeps no more tags (${error.message}). Save them as a file.`));
  }
  if (state.tag) select();
  showView(false);
  if (state.image) showViewer();
}

const addTag = (images, name) => name && setTags(images, (names) => names.includes(name) ? names : [...names, name]);
const removeTag = (images, name) => setTags(images, (names) => names.filter((one) => one !== name));
const tagWord = (text) => text.trim().replace(/\s+/g, '-'); // a tag has no spaces: a cell holds several tags

function tagsTable() {
  const lines = [...tagged].flatMap(([image, names]) => names.map((name) => [csvText(image), csvText(name)]));
  return csvOf([['image', 'tag'], ...lines]);
}

function tagField(hint, keep, add) {
  const field = h('input.tag-field', {
    'aria-label': hint, placeholder: 'tag', list: 'tag-names', 'data-keep': keep, maxlength: 60,
    onkeydown: (event) => {
      if (event.key !== 'Enter' || !tagWord(field.value)) return;
      event.preventDefault();
      add(tagWord(field.value));
    },
  });
  return field;
}

function tagTools(count) { // of the menu Export
  return [
    h('label', `Tag ${count} `, tagField(`Tag ${count}`, 'tag-all', (name) => addTag(chosenNames(), name))),
    h('button', { disabled: !tagged.size, onclick: () => saveFile('tags.csv', 'text/csv', tagsTable()) },
      `Tags of ${many(tagged.size, 'image')} (CSV)`),
  ];
}

const chosenNames = () => Array.from(chosen, (i) => columns.image[i]);

function tagChips(image) { // those of one image, and a field for another one
  const chip = (name) =>
    h('button.chip', { title: 'Remove this tag', onclick: () => removeTag([image], name) }, `${name} ×`);
  return h('div.line', tagsOf(image).map(chip),
    tagField('Add a tag to this image', 'tag-one', (name) => addTag([image], name)),
    h('datalist', { id: 'tag-names' }, tagNames().map((name) => h('option', { value: name }))));
}

const tagLine = (image) => tagsOf(image).map((name) => h('em.tag', name));
