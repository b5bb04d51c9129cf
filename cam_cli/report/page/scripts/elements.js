'use strict';
/* Elements of the page. Texts of the run become text nodes and attributes, never markup. */

const { entries, keys } = Object;
const byId = (id) => document.getElementById(id);
const isNarrow = () => innerWidth < 900; // as in narrow.css

// h('p.quiet', { title: 'of' }, 'text', child …): an element with classes, attributes (may be left out) and children.
function h(kind, ...kids) {
  const [tag, ...names] = kind.split('.'), node = document.createElement(tag);
  if (names.length) node.className = names.join(' ');
  return fill(node, kids[0]?.constructor === Object ? kids.shift() : {}, kids);
}

// Attributes that are null or false are left out, `onclick` is a listener, `hint` is a title and the accessible name.
function fill(node, attributes, kids) {
  for (const [name, value] of entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'style') setStyle(node, value);
    else if (name === 'hint') fill(node, { title: value, 'aria-label': value }, []);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...kids.flat(Infinity).filter((kid) => kid || kid === 0));
  return node;
}

// Set one by one: the policy of the page forbids a style attribute.
function setStyle(node, rules) {
  for (const [name, value] of entries(rules)) node.style.setProperty(name, value);
}

function choices(pairs, value, change, title) {
  const options = pairs.map(([key, text]) => h('option', { value: key, selected: key === value }, text));
  return h('select', { hint: title, onchange: (event) => change(event.target.value) }, options);
}

// A box that scrolls, also by the keyboard, where its content is wider than the page.
function scroller(label, ...kids) {
  return h('div.scroll', { tabindex: 0, role: 'region', 'aria-label': label }, kids);
}

function showError(error) {
  byId('view').prepend(h('p.note.wrong', { role: 'alert' }, error.message));
}
