/* Files that the page makes: the images in sight as a table, their paths on the clipboard. */

function saveFile(name, kind, text) {
  const link = h('a', { href: URL.createObjectURL(new Blob([text], { type: kind })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// As in predictions.csv: RFC 4180, and an apostrophe before what a spreadsheet would run as a formula.
const FORMULA = /^(?:[\t\r\n]|[\s\x00-\x1f\u00ad\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20])/;

function csvText(text) {
  return csvCell(FORMULA.test(text) ? `'${text}` : text);
}

function csvCell(value) {
  const text = isNothing(value) ? '' : String(value).toWellFormed?.() ?? String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const csvOf = (lines) => lines.map((cells) => `${cells.join(',')}\r\n`).join('');
const classText = (k) => k < 0 ? '' : csvText(classes[k]);

const EXPORTED = ['prob', 'area', 'border', 'entropy', 'center_x', 'center_y', 'peak'];

function chosenTable() { // the images in sight in their order, with their attributes and tags
  const { image, status, correct, label, class: predicted, target } = columns, named = [...attributes];
  const names = ['image', 'status', 'error', 'label', 'correct', 'predicted', 'probability', 'map_of', 'cam_area',
    'cam_border', 'cam_entropy', 'cam_center_x', 'cam_center_y', 'cam_peak', 'tags'];
  const number = (x) => missing(x) ? '' : Number(x.toPrecision(6));
  const line = (i) => [
    csvText(image[i]), STATUS[status[i]], csvText(errors.get(i) || ''), classText(label[i]),
    ['false', 'true'][correct[i]] ?? '', classText(predicted[i]), number(columns.prob[i]), classText(target[i]),
    ...EXPORTED.slice(1).map((name) => number(columns[name][i])), csvText(tagsOf(image[i]).join(' ')),
    ...named.map(([, { groups, codes }]) => csvText(groups[codes[i]] ?? '')),
  ];
  return csvOf([[...names, ...named.map(([name]) => csvText(name))], ...Array.from(chosen, line)]);
}

function chosenPaths() { // paths as the run found the files; names alone, where the run had no input folder
  const base = data.inputs ? `${data.inputs.replace(/[/\\]$/, '')}/` : '';
  return Array.from(chosen, (i) => base + columns.image[i]).join('\n');
}

function copyText(text) { // a page opened from a disk may have no clipboard of its own
  const field = h('textarea', { 'aria-hidden': 'true', style: { position: 'fixed', opacity: '0' } });
  field.value = text;
  (document.querySelector('dialog[open]') || document.body).append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  return done;
}

/* The menu Export, at the end of the line of what is in sight. */

let exportOpen = false;
function exportMenu() {
  const count = many(chosen.length, 'image'), none = !chosen.length;
  const showResult = (button, done) => { button.textContent = done ? 'Copied' : 'The browser does not allow it'; };
  const menu = h('details.menu', { open: exportOpen, ontoggle: () => { exportOpen = menu.open; } },
    h('summary', 'Export'),
    h('div.panel',
      h('button', { disabled: none, onclick: () => saveFile('images.csv', 'text/csv', `\ufeff${chosenTable()}`) },
        `Table of ${count} (CSV)`),
      h('button', { disabled: none, onclick: (event) => showResult(event.currentTarget, copyText(chosenPaths())) },
        `Copy ${count === '1 image' ? 'the path' : 'the paths'} of ${count}`),
      h('button', { disabled: none, onclick: printAll }, `Print all ${count}`),
      explain && tagTools(count)));
  return menu;
}
