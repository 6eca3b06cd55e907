import { expect } from 'chai'
import fc from 'fast-check'
import type { Database, Tx } from '../../../../src/storage/database.js'
import { StreamIdGenerator } from '../../../../src/storage/streams/stream-id-generator.js'
import type { IdSource } from '../../../../src/storage/streams/sequences.js'
import { createDeferred, type Deferred } from '../../../../src/util/deferred.js'
import { forEachDatabase } from '../../../support/databases.js'

/** A transaction reduced to its end. */
class FakeTx {
  readonly #commit: (() => void)[] = []
  readonly #rollback: (() => void)[] = []
  readonly tx = {
    afterCommit: (fn: () => void) => this.#commit.push(fn),
    afterRollback: (fn: () => void) => this.#rollback.push(fn),
  } as unknown as Tx

  end(committed: boolean): void {
    for (const fn of committed ? this.#commit : this.#rollback) fn()
  }
}

/** A sequence whose answers travel as long as the test wants. */
class SlowSequence {
  last = 0
  readonly #underway: { count: number; answer: Deferred<number[]>; ids?: number[] }[] = []

  readonly source: IdSource = {
    last: 0,
    next: (_tx, count) => {
      const answer = createDeferred<number[]>()
      this.#underway.push({ count, answer })
      return answer.promise
    },
  }

  /** The database draws the numbers for the n-th request that waits for them. */
  draw(n: number): number[] | undefined {
    const waiting = this.#underway.filter(({ ids }) => !ids)
    const request = waiting[n % Math.max(1, waiting.length)]
    if (!request) return undefined
    request.ids = Array.from({ length: request.count }, () => ++this.last)
    return request.ids
  }

  /** The answer to the n-th request that has its numbers arrives. */
  deliver(n: number): void {
    const ready = this.#underway.filter(({ ids }) => ids)
    const request = ready[n % Math.max(1, ready.length)]
    if (!request) return
    this.#underway.splice(this.#underway.indexOf(request), 1)
    request.answer.resolve(request.ids ?? [])
  }
}

interface Work {
  readonly tx: FakeTx
  readonly ids: Promise<number[]>
  arrived: boolean
}

class Model {
  readonly sequence = new SlowSequence()
  readonly writers = ['a', 'b', 'c'].map((name) => new StreamIdGenerator(this.sequence.source, name))
  readonly #works: { writer: number; work: Work }[] = []
  /** Ids that a transaction has and that are not committed or rolled back. */
  readonly unfinished = new Set<number>()
  readonly #messages: { to: number; from: string; position: number }[] = []
  readonly shown = [0, 0, 0]

  constructor() {
    for (const [index, writer] of this.writers.entries()) {
      for (const name of ['a', 'b', 'c']) {
        if (name !== this.#name(index)) writer.onRemotePosition(name, 0)
      }
    }
  }

  async step([action, n, count]: readonly [number, number, number]): Promise<void> {
    if (action === 0) this.#begin(n % 3, 1 + (count % 3))
    else if (action === 1) for (const id of this.sequence.draw(n) ?? []) this.unfinished.add(id)
    else if (action === 2) this.sequence.deliver(n)
    else if (action === 3) await this.#end(n, count % 4 > 0)
    else this.#deliverMessage(n)
    for (let turn = 0; turn < 5; turn++) await Promise.resolve()
    this.#publish()
    this.#check()
  }

  #begin(writer: number, count: number): void {
    const tx = new FakeTx()
    const work: Work = { tx, ids: this.writers[writer]!.allocate(tx.tx, count), arrived: false }
    void work.ids.then(() => (work.arrived = true))
    this.#works.push({ writer, work })
  }

  async #end(n: number, committed: boolean): Promise<void> {
    const ready = this.#works.filter(({ work }) => work.arrived)
    const chosen = ready[n % Math.max(1, ready.length)]
    if (!chosen) return
    this.#works.splice(this.#works.indexOf(chosen), 1)
    for (const id of await chosen.work.ids) this.unfinished.delete(id)
    chosen.work.tx.end(committed)
  }

  #publish(): void {
    for (const [index, writer] of this.writers.entries()) {
      const position = writer.ownPosition()
      if (position <= this.shown[index]!) continue
      this.shown[index] = position
      for (const to of [0, 1, 2])
        if (to !== index) this.#messages.push({ to, from: this.#name(index), position })
    }
  }

  #deliverMessage(n: number): void {
    const [message] = this.#messages.splice(n % Math.max(1, this.#messages.length), 1)
    if (message) this.writers[message.to]!.onRemotePosition(message.from, message.position)
  }

  #check(): void {
    const first = Math.min(...this.unfinished)
    for (const writer of this.writers) {
      // Everything at or below a position is finished, and nothing will come there any more.
      expect(writer.position()).to.be.lessThan(Math.min(first, this.sequence.last + 1))
    }
  }

  #name(index: number): string {
    return 'abc'.charAt(index)
  }
}

describe('StreamIdGenerator', () => {
  it('never shows a position past an unfinished id, whatever order things happen in', async function () {
    this.timeout(60_000)
    const step = fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 20 }), fc.nat({ max: 11 }))
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 40, maxLength: 150 }), async (steps) => {
        const model = new Model()
        for (const one of steps) await model.step(one)
      }),
      { numRuns: 400 },
    )
  })

  it('lets an idle writer follow the busy ones', async () => {
    const sequence = new SlowSequence()
    const [busy, idle] = ['busy', 'idle'].map((name) => new StreamIdGenerator(sequence.source, name)) as [
      StreamIdGenerator,
      StreamIdGenerator,
    ]
    const tx = new FakeTx()
    const ids = busy.allocate(tx.tx, 5)
    sequence.draw(0)
    sequence.deliver(0)
    expect(await ids).to.deep.equal([1, 2, 3, 4, 5])
    expect(busy.position()).to.equal(0)
    tx.end(true)
    expect(busy.position()).to.equal(5)
    idle.onRemotePosition('busy', busy.ownPosition())
    expect(idle.ownPosition()).to.equal(5)
    expect(idle.position()).to.equal(5)
    expect(Object.fromEntries(idle.positions())).to.deep.equal({ busy: 5, idle: 5 })
  })

  it('passes ids of a rolled back transaction', async () => {
    const sequence = new SlowSequence()
    const stream = new StreamIdGenerator(sequence.source)
    const tx = new FakeTx()
    const ids = stream.allocate(tx.tx, 2)
    sequence.draw(0)
    sequence.deliver(0)
    await ids
    tx.end(false)
    expect(stream.position()).to.equal(2)
  })

  it('tells who waits, and forgets who gives up', async () => {
    const sequence = new SlowSequence()
    const stream = new StreamIdGenerator(sequence.source)
    const advances: number[] = []
    const stop = stream.onAdvance((position) => advances.push(position))
    const abort = new AbortController()
    const [reached, aborted] = [stream.waitUntil(1), stream.waitUntil(2, abort.signal)]
    stream.onRemotePosition('other', 1)
    await reached
    expect(advances).to.deep.equal([1])
    abort.abort(new Error('enough'))
    expect(await aborted.catch((error: unknown) => (error as Error).message)).to.equal('enough')
    expect(
      await stream.waitUntil(3, abort.signal).catch((error: unknown) => (error as Error).message),
    ).to.equal('enough')
    stop()
    stream.onRemotePosition('other', 7)
    expect(advances).to.deep.equal([1])
    await stream.waitUntil(7)
  })
})

forEachDatabase('streams', (open, kind) => {
  const options = { sequence: 'events_stream_seq', table: 'numbers', column: 'id' }
  let db: Database

  beforeEach(async () => {
    db = await open()
    await db.write('create', (tx) => tx.execute('CREATE TABLE numbers (id BIGINT PRIMARY KEY)'))
  })

  const insert = (tx: Tx, ids: readonly number[]): Promise<void> =>
    tx.insertMany(
      'numbers',
      ids.map((id) => ({ id })),
      { columns: { id: 'integer' } },
    )

  it('hand out growing ids and show them once committed', async () => {
    const stream = await StreamIdGenerator.open(db, options)
    expect(stream.position()).to.equal(0)
    const ids = await db.write('insert', async (tx) => {
      const first = await stream.allocate(tx, 3)
      await insert(tx, first)
      expect(stream.position()).to.equal(0)
      return [...first, ...(await stream.allocate(tx, 2))]
    })
    expect(ids).to.deep.equal([1, 2, 3, 4, 5])
    expect(stream.position()).to.equal(5)
  })

  it('never show a position that is handed out later', async () => {
    const stream = await StreamIdGenerator.open(db, options)
    await db
      .write('fail', async (tx) => {
        await stream.allocate(tx, 2)
        throw new Error('rolled back')
      })
      .catch(() => undefined)
    const shown = stream.position()
    const [next] = await db.write('insert', (tx) => stream.allocate(tx, 1))
    expect(shown).to.equal(2)
    expect(next).to.equal(3)
    expect(stream.position()).to.equal(next)
  })

  it('go on where they were, even when the newest rows are gone', async () => {
    const before = await StreamIdGenerator.open(db, options)
    await db.write('insert', async (tx) => insert(tx, await before.allocate(tx, 10)))
    await db.write('purge', (tx) => tx.execute('DELETE FROM numbers WHERE id > 3'))
    const after = await StreamIdGenerator.open(db, options)
    // SQLite's counter has taken numbers ahead.
    const last = kind === 'sqlite' ? 1000 : 10
    expect(after.position()).to.equal(last)
    expect(await db.write('insert', (tx) => after.allocate(tx, 1))).to.deep.equal([last + 1])
  })

  it('start behind the rows that are there', async () => {
    await db.write('port', (tx) => insert(tx, [5, 70]))
    const stream = await StreamIdGenerator.open(db, options)
    expect(stream.position()).to.equal(70)
    expect(await db.write('insert', (tx) => stream.allocate(tx, 1))).to.deep.equal([71])
  })

  it('count negated ids as well', async () => {
    await db.write('port', (tx) => insert(tx, [-8, -2, 100]))
    const stream = await StreamIdGenerator.open(db, { ...options, negated: true })
    expect(await db.write('insert', (tx) => stream.allocate(tx, 2))).to.deep.equal([9, 10])
  })

  it('keep their promise with many transactions at once', async () => {
    const stream = await StreamIdGenerator.open(db, options)
    stream.onAdvance((position) => {
      checks.push(
        db.reader
          .first<{ n: number }>('SELECT COUNT(*) AS n FROM numbers WHERE id <= ?', [position])
          .then((row) => ({ position, rows: row?.n ?? 0 })),
      )
    })
    const checks: Promise<{ position: number; rows: number }>[] = []
    await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        db.write('insert', async (tx) => insert(tx, await stream.allocate(tx, 1 + (index % 4)))),
      ),
    )
    const results = await Promise.all(checks)
    expect(results.length).to.be.greaterThan(0)
    for (const { position, rows } of results) expect(rows).to.equal(position)
    expect(stream.position()).to.equal(150)
  })
})
