import { expect } from 'chai'
import { LastingTasks, type TaskAction } from '../../../../src/services/tasks/lasting-tasks.js'
import type { Database } from '../../../../src/storage/database.js'
import { LastingTasksStore } from '../../../../src/storage/stores/lasting-tasks.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'

const DAY_MS = 24 * 60 * 60_000

forEachDatabase('LastingTasks', (open) => {
  let db: Database
  let clock: ManualClock
  let errors: unknown[]
  beforeEach(async () => {
    db = await open()
    clock = new ManualClock()
    errors = []
  })

  /** As after a start of the server. */
  function create(action: TaskAction): LastingTasks {
    const onError = (error: unknown): unknown => errors.push(error)
    const tasks = new LastingTasks({ db, clock, store: new LastingTasksStore(), onError })
    tasks.define('sweep', action)
    return tasks
  }

  it('remember for a while what has come of them', async () => {
    const tasks = create(({ params }) => Promise.resolve({ swept: params['rooms'] ?? null }))
    const id = await tasks.start('sweep', '!room', { rooms: 3 })
    await tasks.settle()
    expect(await tasks.get('sweep', id)).to.deep.include({
      status: 'complete',
      resource: '!room',
      result: { swept: 3 },
      error: undefined,
    })
    expect(await tasks.get('mop', id)).to.equal(undefined)
    clock.advance(7 * DAY_MS)
    await tasks.upkeep.run(new AbortController().signal)
    expect(await tasks.get('sweep', id)).to.have.property('status', 'complete')
    clock.advance(1)
    await tasks.upkeep.run(new AbortController().signal)
    expect(await tasks.get('sweep', id)).to.equal(undefined)
  })

  it('say what they fail with, and how far they have come', async () => {
    const tasks = create(async ({ report }) => {
      await report({ done: 1 })
      throw new Error('The broom is broken')
    })
    const id = await tasks.start('sweep', '!room', {})
    await tasks.settle()
    const task = await tasks.get('sweep', id)
    expect(task).to.deep.include({ status: 'failed', result: { done: 1 }, error: 'The broom is broken' })
    expect(errors).to.have.length(1)
  })

  it('go on after a restart, and are not begun twice for one thing', async () => {
    const begun = createDeferred()
    const first = create(async ({ signal, report }) => {
      await report({ done: 1 })
      begun.resolve()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      return { done: 'nothing' }
    })
    const id = await first.start('sweep', '!room', {})
    await begun.promise
    const again = await rejection(first.start('sweep', '!room', {}))
    expect(again).to.have.property('errcode', 'M_UNKNOWN')
    await first.stop()
    expect(await first.get('sweep', id)).to.deep.include({ status: 'active', result: { done: 1 } })
    const second = create(({ earlier }) => Promise.resolve({ before: earlier ?? null }))
    await second.resume()
    await second.settle()
    const ended = await second.get('sweep', id)
    expect(ended).to.deep.include({ status: 'complete', result: { before: { done: 1 } } })
    expect(await second.list({ statuses: ['active'] })).to.deep.equal([])
    expect(errors).to.deep.equal([])
  })

  it('come one after the other, and fail where nobody knows how to do them', async () => {
    const order: unknown[] = []
    const tasks = create(({ params }) => {
      order.push(params['n'])
      return Promise.resolve({})
    })
    for (const n of [1, 2, 3]) await tasks.start('sweep', `!room${n}`, { n })
    const unknown = await tasks.start('mop', '!room', {})
    await tasks.settle()
    expect(order).to.deep.equal([1, 2, 3])
    expect(await tasks.get('mop', unknown)).to.have.property('status', 'failed')
  })
})
