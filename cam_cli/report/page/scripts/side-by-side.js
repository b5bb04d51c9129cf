/* All maps of one image side by side: a row for each method, a column for each class. */

function sideBySide(i, details) {
  const methods = [...new Set(details.maps.map((map) => map.method))];
  const most = Math.max(...methods.map((method) => details.maps.filter((map) => map.method === method).length));
  const cells = methods.flatMap((method) => {
    const maps = details.maps.filter((map) => map.method === method);
    return Array.from({ length: most }, (_, k) => maps[k] ? sideCell(i, details, maps[k]) : h('span'));
  });
  return h('div.matrix-of-maps', { style: { '--across': most } }, cells);
}

function sideCell(i, details, map) {
  const shown = map.target < 0 ? '' : classes[map.target], concept = map.concept === undefined ? '' : ` ${map.concept}`;
  const words = `${map.method}${concept} · ${shown} ${scoreOf(map)}`;
  const alone = { method: map.method, rank: String(rankOf(map, details)), side: '' };
  return h('button', { title: `${words}: show alone`, onclick: () => go(alone) },
    h('div.tile', stage(i, details, 256, map)), h('span', words));
}

function sideSwitch(details) {
  if (details.maps.length < 2) return '';
  const change = () => go({ side: state.side ? '' : '1' });
  const box = h('input', { type: 'checkbox', 'data-keep': 'side', checked: !!state.side, onchange: change });
  return h('label', box, ` all ${details.maps.length} maps side by side (v)`);
}
