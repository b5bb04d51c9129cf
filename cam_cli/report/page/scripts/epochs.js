/* The same images over the epochs of a training, under a slider. */

let epochChanged = null; // shows the epoch of the address, while this view is in sight

function showEpochs(view) {
  const rows = entries(data.samples).map(([folder, samples]) => epochRow(folder, samples));
  epochChanged = () => rows.forEach(({ update }) => update());
  epochChanged();
  view.append(...rows.flatMap(({ nodes }) => nodes));
}

function epochRow(folder, samples) {
  const epochs = [...new Set(samples.flatMap(([, found]) => keys(found).map(Number)))].sort((a, b) => a - b);
  const last = epochs[epochs.length - 1], label = h('output');
  const slider = h('input', {
    type: 'range', min: 0, max: epochs.length - 1, step: 1, 'aria-label': 'Epoch',
    oninput: () => go({ epoch: String(epochs[slider.value]) }),
  });
  const images = samples.map(([image]) => h('img', { alt: '', title: image, decoding: 'async' }));
  const words = samples.map(() => h('figcaption'));

  function update() {
    const at = Math.max(0, epochs.indexOf(Number(state.epoch || last))), epoch = epochs[at];
    slider.value = at;
    label.textContent = `epoch ${epoch} of ${last}${accuracyAfter(epoch)}${epoch === data.bestEpoch ? ' ★' : ''}`;
    samples.forEach(([image, found], k) => {
      if (found[epoch]) images[k].src = found[epoch];
      images[k].alt = `${image} after epoch ${epoch}`;
      if (folder !== 'activations') words[k].replaceChildren(...captionOf(image, epoch));
    });
  }

  const figureOf = (image, k) =>
    h('figure', image, h('figcaption', { title: samples[k][0] }, samples[k][0]), words[k]);
  const titles = { cams: 'Class activation maps over the epochs', gradcams: 'Grad-CAM over the epochs' };
  const title = titles[folder] || 'Feature maps over the epochs';
  const nodes = [h('h2', title), h('div.line.epoch', slider, label), h('div.samples', images.map(figureOf))];
  return { update, nodes };
}

function captionOf(image, epoch) { // verdict, predicted class, probability
  const found = data.captions?.[image]?.[epoch];
  if (!found) return [];
  const [name, prob, right] = found;
  const mark = right ? h('i.right', { title: 'right' }, '✓ ') : h('i.wrong', { title: 'wrong' }, '✗ ');
  return [mark, h('b', name), ` ${percent(prob)}`];
}

function accuracyAfter(epoch) {
  const row = data.metrics.find((one) => one.epoch === epoch);
  return row ? ` · validation accuracy ${percent(row.val_accuracy)}` : '';
}
