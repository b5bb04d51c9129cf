/* The table: a row for each image; a click on a head sorts. */

const TABLE = [
  ['image', 'image'], ['label', 'label'], ['class', 'predicted'],
  ['prob', 'probability'], ['area', 'area'], ['border', 'border'], ['entropy', 'entropy'],
];

function showTable(view) {
  const labels = data.labels.length > 0, shown = TABLE.filter(([name]) => name !== 'label' || labels);
  const head = h('div.head.row', { role: 'row' }, shown.map(([name, text]) => sortButton(name, text)));
  const host = h('div.rows', { role: 'rowgroup' });
  const attributes = { role: 'table', 'aria-rowcount': chosen.length, 'aria-label': 'Images' };
  view.append(h('div', { class: `table ${labels ? '' : 'unlabelled'}`, ...attributes }, head, host), noneChosen());
  list = virtualList(host, () => [1, labels && isNarrow() ? 50 : 44], (i, place) => tableRow(i, place, shown));
  list.reset();
}

function sortButton(name, text) {
  const now = orderAskedFor(), sorted = now.sort === name;
  const next = sorted ? !now.desc : MEASURES.includes(name);
  const attributes = { role: 'columnheader', 'aria-sort': sorted ? (now.desc ? 'descending' : 'ascending') : 'none' };
  return h(`span.${name}`, attributes,
    h('button', { onclick: () => go({ sort: name, desc: next ? '1' : '' }) },
      text, sorted ? (now.desc ? ' ↓' : ' ↑') : ''));
}

function tableRow(i, place, shown) { // its link covers all of it
  const { image, label, status, prob, area, border, entropy } = columns;
  const cells = {
    image: [thumbnail(i), h('a', { title: image[i], ...linkToImage(i, place) }, image[i])],
    label: label[i] < 0 ? '' : classes[label[i]],
    class: status[i] === FAILED ? h('em.wrong', '! ' + errors.get(i)) : [verdict(i).slice(0, 2), truth(i)],
    prob: meter(prob[i]), area: percent(area[i]), border: percent(border[i]), entropy: figure(entropy[i]),
  };
  const cell = ([name]) => h(`span.${name}`, { role: 'cell' }, cells[name]);
  return h('div.row', { role: 'row', 'aria-rowindex': place + 1 }, shown.map(cell));
}

function thumbnail(i) { // the image under its map
  const tile = h('i.tile', { 'aria-hidden': 'true' });
  detailsOf(i).then((details) => tile.append(stage(i, details, 32)), showError);
  return tile;
}

function meter(share) { // a share of 1 as a bar and a number
  return missing(share) ? '–' : [h('span.meter', { style: { '--x': share } }), percent(share)];
}
