/* The questions about an image with their answers: each is a button that shows its map. */

const saidOf = ({ caption, answers }) =>
  caption ? caption.text : answers ? answers.map(([question, answer]) => `${question} ${answer}`).join(' · ') : '';

function answersOf(details) {
  const shown = details.maps.indexOf(mapOf(details));
  const line = ([question, answer, place, prob, depends, truth, correct, contrast], k) => {
    const numbers = `probability ${percent(prob)}, depends ${figure(depends)}` +
      (contrast ? '; the map explains yes against no, as answered' : '');
    const mark = correct < 0 ? '' : correct ? h('i.right', { title: 'right' }, ' ✓') :
      [h('i.wrong', { title: 'wrong' }, ' ✗'), h('small', ` is ${truth}`)];
    const words = [h('span.quiet', question), ' ', h('b', answer || 'no answer'), ' ', percent(prob), mark];
    if (place < 0) return h('li', { title: numbers }, words);
    return h('li', h('button.answer', {
      title: numbers, 'data-keep': `answer${k}`, 'aria-pressed': String(place === shown),
      onclick: () => go({ rank: String(place + 1) }),
    }, words));
  };
  return h('ul.answers', { 'aria-label': 'Questions and answers' }, details.answers.map(line));
}
