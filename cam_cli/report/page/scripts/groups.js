/* The groups of an audit: gates, intervals of every group, their mean maps, and the worst images. */

async function showGroups(view) {
  const found = await loadPart('groups');
  if (state.view !== 'groups') return;
  const named = data.attributes.map(({ name }) => name);
  const by = named.includes(state.of) ? state.of : named[0];
  const metrics = found.metrics.map(([name]) => name);
  const metric = metrics.includes(state.metric) ? state.metric : metrics[0];
  const groups = found.rows.filter((row) => row.by === by);
  view.append(
    ...[gateList(found.gates)].filter(Boolean),
    h('div.line',
      choices(named.map((name) => [name, `by ${name}`]), by, (of) => go({ of }), 'Attribute'),
      choices(metrics.map((name) => [name, metricName(name)]), metric, (name) => go({ metric: name }), 'Metric')),
    forest(found, by, metric, groups),
    ...[groupMeans(found, by, groups), worstOf(by, groups)].filter(Boolean),
    ...groupNotes(found));
}

const metricName = (name) => name.replace('_', ' ').replaceAll('_', ' ');

function gateList(gates) {
  if (!gates.length) return '';
  const item = ({ verdict: word, text, sentence }) =>
    h('li', h('em', { class: `tag ${word}` }, word), ' ', h('b', text), h('p.quiet', sentence));
  return h('section', h('h2', 'Gates'), h('ul.gates', gates.map(item)));
}

/* A row for each group: the value as a point, its interval as a line, on one scale. */

function forest(found, by, metric, groups) {
  const [, share, summary] = found.metrics.find(([name]) => name === metric);
  const level = `${figure(100 * found.confidence)} %`;
  const show = share ? percent : figure, whole = found.overall[metric];
  const scale = scaleOf([...groups.map((row) => row.values[metric]), whole], share);
  const row = ({ group, small, values, images }) => {
    const [value, low, high, total] = values[metric];
    const all = { view: 'gallery', of: '', [GROUPED + by]: group };
    return h('tr', { class: small && 'small-group', title: small && 'too small to be judged' },
      h('th', { scope: 'row' }, h('a', { href: address(all), title: many(images, 'image') }, group)),
      h('td', total.toLocaleString('en'), small ? h('small', ' small') : ''),
      h('td', h('b', show(value)), h('small', ` ${show(low)} to ${show(high)}`)),
      h('td.plot', interval(scale, value, low, high)));
  };
  const head = ['group', 'images', metricName(metric), axis(scale, show)];
  const all = h('tr.is', h('th', { scope: 'row' }, 'all images'), h('td', whole[3].toLocaleString('en')),
    h('td', h('b', show(whole[0])), h('small', ` ${show(whole[1])} to ${show(whole[2])}`)),
    h('td.plot', interval(scale, ...whole)));
  return h('section',
    h('h2', `${metricName(metric)} by ${by}`),
    scroller('Intervals', h('table.figures.forest',
      h('thead', h('tr', head.map((one, k) => h('th', { scope: 'col', class: k === 3 && 'plot' }, one)))),
      h('tbody', groups.map(row), all))),
    h('p.quiet', `${summary[0].toUpperCase()}${summary.slice(1)}. Lines are ${level} intervals of each group alone.`));
}

// From the smallest to the largest limit, in five steps of 1, 2 or 5 times a power of ten.
function scaleOf(values, share) {
  const known = values.flatMap((one) => one.slice(0, 3)).filter((x) => !isNothing(x));
  const low = Math.min(...known, share ? 1 : Infinity), high = Math.max(...known, share ? 0 : -Infinity);
  const span = (high - low) || 1, power = 10 ** Math.floor(Math.log10(span / 4));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => span / one <= 5);
  const start = Math.floor(low / step) * step, count = Math.max(1, Math.ceil((high - start) / step - 1e-9));
  return { start, step, count, place: (x) => percentOf((x - start) / (step * count), 1) };
}

function axis(scale, show) {
  const { start, step, count } = scale, ticks = Array.from({ length: count + 1 }, (_, k) => start + k * step);
  const word = (x) => show(Number(x.toPrecision(6))).replace(/\.0(?=\D|$)/, '');
  const tick = (x) => h('span', { style: { left: scale.place(x) } }, word(x));
  return h('span.ticks', ticks.map(tick));
}

function interval(scale, value, low, high) {
  if (isNothing(value)) return '–';
  const line = isNothing(low) ? '' : h('i.line-of', {
    style: { left: scale.place(low), width: `calc(${scale.place(high)} - ${scale.place(low)})` },
  });
  return h('span.whisker', { 'aria-hidden': 'true' }, line, h('i.point', { style: { left: scale.place(value) } }));
}

function worstOf(by, groups) { // the most confident mistakes in the group with the lowest accuracy
  const judged = groups.filter(({ small, values }) => !small && values.accuracy && !isNothing(values.accuracy[0]));
  if (!judged.length) return '';
  const worst = judged.reduce((a, b) => b.values.accuracy[0] < a.values.accuracy[0] ? b : a);
  const { codes, groups: names } = attributes.get(by), k = names.indexOf(worst.group);
  const title = `Wrong in ${worst.group}, the group with the lowest accuracy, most confident first`;
  const wrong = (i) => codes[i] === k && columns.correct[i] === 0;
  return strip(title, wrong, { [GROUPED + by]: worst.group, right: 'wrong' });
}

function groupNotes({ notes, left }) {
  const counts = entries(left).map(([why, count]) => `${count.toLocaleString('en')} ${why}`);
  return [
    ...notes.map((note) => h('p.quiet', note)),
    counts.length ? h('p.quiet', `Left out: ${counts.join(', ')}.`) : '',
  ].filter(Boolean);
}
