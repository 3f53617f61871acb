/**
 * DynamoDB's expressions, as far as the log's store uses them: conditions, updates and projections over items.
 *
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
 * Whatever else is in an expression is refused, so that nothing is understood wrongly. Items are never changed in place.
 */

import type { AttributeValue } from '@aws-sdk/client-dynamodb';

export type Item = Readonly<Record<string, AttributeValue>>;

/** What a request brings beside its expressions. */
export interface Substitutes {
  readonly names: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, AttributeValue>>;
}

/** Becomes the SDK's ValidationException. */
export class InvalidExpression extends Error {
  override readonly name = 'InvalidExpression';
}

/** Attribute names and list indexes, from the top. Names may be placeholders. */
type Path = readonly (string | number)[];

type Operand =
  | { readonly kind: 'path'; readonly path: Path }
  | { readonly kind: 'value'; readonly name: string }
  | {
      readonly kind: 'call';
      readonly name: 'size' | 'if_not_exists' | 'list_append';
      readonly args: readonly Operand[];
    }
  | { readonly kind: 'sum'; readonly sign: 1 | -1; readonly left: Operand; readonly right: Operand };

type Condition =
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Condition[] }
  | { readonly kind: 'exists'; readonly path: Path; readonly isWanted: boolean }
  | { readonly kind: 'compare'; readonly by: string; readonly left: Operand; readonly right: Operand }
  | { readonly kind: 'between'; readonly of: Operand; readonly from: Operand; readonly to: Operand };

interface Update {
  readonly sets: readonly { readonly path: Path; readonly to: Operand }[];
  readonly removes: readonly Path[];
  readonly adds: readonly { readonly path: Path; readonly by: Operand }[];
}

/** Of one expression, in bytes. */
const expressionBytesMax = 4_096;

// ---- from text

class Reader {
  readonly #tokens: string[];
  #at = 0;

  constructor(text: string) {
    if (Buffer.byteLength(text) > expressionBytesMax) throw new InvalidExpression(`expression of ${text.length} bytes`);
    this.#tokens = text.match(/[#:]?\w+|<=|>=|<>|\S/g) ?? [];
  }

  get isEnd(): boolean {
    return this.#at === this.#tokens.length;
  }
  next(): string {
    return this.#tokens[this.#at++] ?? '';
  }
  /** Takes the next token when it is one of these. */
  take(...wanted: string[]): string | undefined {
    const token = this.#tokens[this.#at] ?? '';
    if (!wanted.includes(token)) return undefined;
    this.#at += 1;
    return token;
  }
  expect(wanted: string): void {
    const token = this.next();
    if (token !== wanted) throw new InvalidExpression(`${token} where ${wanted} is due`);
  }

  list<T>(one: () => T): T[] {
    const all = [one()];
    while (this.take(',') !== undefined) all.push(one());
    return all;
  }

  path(): Path {
    const path: (string | number)[] = [this.#name()];
    for (;;) {
      if (this.take('.') !== undefined) path.push(this.#name());
      else if (this.take('[') !== undefined) {
        path.push(Number(this.next()));
        this.expect(']');
      } else return path;
    }
  }

  #name(): string {
    const token = this.next();
    if (!/^#?\w+$/.test(token)) throw new InvalidExpression(`${token} where a name is due`);
    return token;
  }

  operand(): Operand {
    const call = this.take('size', 'if_not_exists', 'list_append') as 'size' | undefined;
    if (call === undefined) return this.#plainOperand();
    this.expect('(');
    const args = this.list(() => this.operand());
    this.expect(')');
    return { kind: 'call', name: call, args };
  }

  #plainOperand(): Operand {
    const token = this.#tokens[this.#at] ?? '';
    if (!token.startsWith(':')) return { kind: 'path', path: this.path() };
    this.#at += 1;
    return { kind: 'value', name: token };
  }

  condition(): Condition {
    const parts = [this.#and()];
    while (this.take('OR') !== undefined) parts.push(this.#and());
    return parts.length === 1 ? (parts[0] as Condition) : { kind: 'or', parts };
  }

  #and(): Condition {
    const parts = [this.#primary()];
    while (this.take('AND') !== undefined) parts.push(this.#primary());
    return parts.length === 1 ? (parts[0] as Condition) : { kind: 'and', parts };
  }

  #primary(): Condition {
    if (this.take('(') !== undefined) {
      const inner = this.condition();
      this.expect(')');
      return inner;
    }
    const exists = this.take('attribute_exists', 'attribute_not_exists');
    if (exists !== undefined) {
      this.expect('(');
      const path = this.path();
      this.expect(')');
      return { kind: 'exists', path, isWanted: exists === 'attribute_exists' };
    }
    const left = this.operand();
    if (this.take('BETWEEN') !== undefined) {
      const from = this.operand();
      this.expect('AND');
      return { kind: 'between', of: left, from, to: this.operand() };
    }
    const by = this.take('=', '<', '<=', '>', '>=');
    if (by === undefined) throw new InvalidExpression(`${this.next()} where a comparison is due`);
    return { kind: 'compare', by, left, right: this.operand() };
  }

  update(): Update {
    const update = {
      sets: [] as Update['sets'][number][],
      removes: [] as Path[],
      adds: [] as Update['adds'][number][],
    };
    while (!this.isEnd) {
      const section = this.next();
      if (section === 'SET') update.sets.push(...this.list(() => this.#set()));
      else if (section === 'REMOVE') update.removes.push(...this.list(() => this.path()));
      else if (section === 'ADD') update.adds.push(...this.list(() => ({ path: this.path(), by: this.operand() })));
      else throw new InvalidExpression(`section ${section} of an update`);
    }
    return update;
  }

  #set(): Update['sets'][number] {
    const path = this.path();
    this.expect('=');
    const left = this.operand();
    const sign = this.take('+', '-');
    if (sign === undefined) return { path, to: left };
    return { path, to: { kind: 'sum', sign: sign === '+' ? 1 : -1, left, right: this.operand() } };
  }
}

function parsed<T>(cache: Map<string, T>, text: string, parse: (reader: Reader) => T): T {
  const known = cache.get(text);
  if (known !== undefined) return known;
  const reader = new Reader(text);
  const made = parse(reader);
  if (!reader.isEnd) throw new InvalidExpression(`${reader.next()} behind the end of ${text}`);
  // Expressions are a few dozen texts, for as many counts of producers and entries.
  if (cache.size > 10_000) cache.clear();
  cache.set(text, made);
  return made;
}
const conditions = new Map<string, Condition>();
const updates = new Map<string, Update>();
const projections = new Map<string, readonly Path[]>();

// ---- over items

export function isTrue(text: string | undefined, item: Item | undefined, substitutes: Substitutes): boolean {
  if (text === undefined) return true;
  const condition = parsed(conditions, text, (reader) => reader.condition());
  return holds(condition, item ?? {}, substitutes);
}

function holds(condition: Condition, item: Item, substitutes: Substitutes): boolean {
  switch (condition.kind) {
    case 'and':
      return condition.parts.every((part) => holds(part, item, substitutes));
    case 'or':
      return condition.parts.some((part) => holds(part, item, substitutes));
    case 'exists':
      return (find(item, condition.path, substitutes) !== undefined) === condition.isWanted;
    case 'between':
      return (
        compare(condition.of, condition.from, item, substitutes, (order) => order >= 0) &&
        compare(condition.of, condition.to, item, substitutes, (order) => order <= 0)
      );
    case 'compare':
      return compare(condition.left, condition.right, item, substitutes, (order) => {
        if (condition.by === '=') return order === 0;
        if (condition.by === '<') return order < 0;
        if (condition.by === '<=') return order <= 0;
        return condition.by === '>' ? order > 0 : order >= 0;
      });
  }
}

/** Values of two kinds, or one that is not there, are in no order. */
function compare(
  leftOperand: Operand,
  rightOperand: Operand,
  item: Item,
  substitutes: Substitutes,
  isWanted: (order: number) => boolean,
): boolean {
  const [left, right] = [leftOperand, rightOperand].map((operand) => evaluate(operand, item, substitutes));
  if (left?.N !== undefined && right?.N !== undefined) return isWanted(Number(left.N) - Number(right.N));
  if (left?.S !== undefined && right?.S !== undefined)
    return isWanted(Buffer.compare(Buffer.from(left.S), Buffer.from(right.S)));
  return false;
}

/** Undefined: not there. */
function evaluate(operand: Operand, item: Item, substitutes: Substitutes): AttributeValue | undefined {
  if (operand.kind === 'path') return find(item, operand.path, substitutes);
  if (operand.kind === 'value') {
    const value = substitutes.values[operand.name];
    if (value === undefined) throw new InvalidExpression(`value ${operand.name} is not given`);
    return value;
  }
  if (operand.kind === 'sum') {
    const [left, right] = [operand.left, operand.right].map((part) => Number(needed(part, item, substitutes).N));
    return { N: String((left ?? 0) + operand.sign * (right ?? 0)) };
  }
  const [first, second] = operand.args as [Operand, Operand];
  if (operand.name === 'if_not_exists') {
    return evaluate(first, item, substitutes) ?? needed(second, item, substitutes);
  }
  if (operand.name === 'list_append') {
    const [head, tail] = [first, second].map((part) => needed(part, item, substitutes).L);
    if (head === undefined || tail === undefined) throw new InvalidExpression('list_append of what is no list');
    return { L: [...head, ...tail] };
  }
  const sized = evaluate(first, item, substitutes);
  const size = sized?.L?.length ?? sized?.B?.length ?? sized?.S?.length;
  const count = size ?? (sized?.M === undefined ? undefined : Object.keys(sized.M).length);
  return count === undefined ? undefined : { N: String(count) };
}

function needed(operand: Operand, item: Item, substitutes: Substitutes): AttributeValue {
  const value = evaluate(operand, item, substitutes);
  if (value === undefined) throw new InvalidExpression('the expression refers to an attribute that does not exist');
  return value;
}

function resolve(path: Path, { names }: Substitutes): Path {
  return path.map((step) => {
    if (typeof step === 'number' || !step.startsWith('#')) return step;
    const name = names[step];
    if (name === undefined) throw new InvalidExpression(`name ${step} is not given`);
    return name;
  });
}

function find(item: Item, path: Path, substitutes: Substitutes): AttributeValue | undefined {
  let value: AttributeValue | undefined = { M: item };
  for (const step of resolve(path, substitutes)) {
    value = typeof step === 'number' ? value?.L?.[step] : value?.M?.[step];
  }
  return value;
}

/** A new item; what is on the right of a SET is as it was before. */
export function updated(text: string, item: Item, substitutes: Substitutes): Item {
  const { sets, removes, adds } = parsed(updates, text, (reader) => reader.update());
  const paths = [...sets, ...adds].map(({ path }) => resolve(path, substitutes));
  const removed = removes.map((path) => resolve(path, substitutes));
  refuseOverlaps([...paths, ...removed]);
  const values = [
    ...sets.map(({ to }) => needed(to, item, substitutes)),
    ...adds.map(({ path, by }) => {
      const sum = Number(find(item, path, substitutes)?.N ?? 0) + Number(needed(by, item, substitutes).N);
      return { N: String(sum) };
    }),
  ];
  let result: AttributeValue = { M: item };
  for (const [index, path] of paths.entries()) result = withValue(result, path, values[index]);
  // Indexes are those of the item as it was, whatever order they stand in.
  const backwards = removed.toSorted((a, b) => Number(b.at(-1)) - Number(a.at(-1)));
  for (const path of backwards) result = withValue(result, path, undefined);
  return result.M ?? {};
}

/** A copy of `parent` in which `path` leads to `value`; undefined takes away what is there. */
function withValue(parent: AttributeValue, path: Path, value: AttributeValue | undefined): AttributeValue {
  const [step, ...rest] = path;
  if (typeof step === 'number') {
    if (parent.L === undefined) throw new InvalidExpression('the document path is invalid for update');
    if (value === undefined && rest.length === 0) return { L: parent.L.toSpliced(step, 1) };
    throw new InvalidExpression('list elements are only removed here');
  }
  if (step === undefined || parent.M === undefined)
    throw new InvalidExpression('the document path is invalid for update');
  const child = parent.M[step];
  if (rest.length > 0) {
    if (child === undefined) throw new InvalidExpression('the document path is invalid for update');
    return { M: { ...parent.M, [step]: withValue(child, rest, value) } };
  }
  if (value !== undefined) return { M: { ...parent.M, [step]: value } };
  const { [step]: _, ...others } = parent.M;
  return { M: others };
}

function refuseOverlaps(paths: readonly Path[]): void {
  const texts = paths.map((path) => `${JSON.stringify(path).slice(0, -1)},`).sort();
  for (const [index, text] of texts.entries()) {
    if (texts[index + 1]?.startsWith(text)) throw new InvalidExpression(`two document paths overlap: ${text}`);
  }
}

/** Top-level attributes only. */
export function projected(text: string | undefined, item: Item, substitutes: Substitutes): Item {
  if (text === undefined) return item;
  const paths = parsed(projections, text, (reader) => reader.list(() => reader.path()));
  const names = new Set(paths.map((path) => resolve(path, substitutes)[0]));
  return Object.fromEntries(Object.entries(item).filter(([name]) => names.has(name)));
}

/** What is given must be used: DynamoDB refuses the rest. */
export function refuseUnused(texts: readonly (string | undefined)[], { names, values }: Substitutes): void {
  const all = texts.join(' ');
  const used = new Set(all.match(/[#:]\w+/g));
  for (const name of [...Object.keys(names), ...Object.keys(values)]) {
    if (!used.has(name)) throw new InvalidExpression(`${name} is given and not used`);
  }
}
