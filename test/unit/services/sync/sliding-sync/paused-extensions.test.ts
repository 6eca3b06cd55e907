import { expect } from 'chai'
import { STREAM_START, type StreamToken } from '../../../../../src/protocol/stream-token.js'
import {
  pausedIn,
  resumedAt,
  type ExtensionPos,
} from '../../../../../src/services/sync/sliding-sync/extensions/paused-extensions.js'

const THREADS = 'io.element.msc4308.thread_subscriptions'
const ALL = new Set(['account_data', 'e2ee', THREADS, 'typing'])
const NONE: ReadonlySet<string> = new Set()

describe('paused extensions', () => {
  const at = (position: number, paused: ExtensionPos['paused'] = new Map()): ExtensionPos => {
    const stream = Object.fromEntries(Object.keys(STREAM_START).map((part) => [part, position]))
    return { stream: stream as unknown as StreamToken, threads: position, paused }
  }

  it('are none where all are asked for', () => {
    expect(pausedIn(undefined, ALL)).to.deep.equal(new Map())
    expect(pausedIn(at(5), ALL)).to.deep.equal(new Map())
    expect(resumedAt(at(5), 'e2ee')).to.deep.equal(at(5))
    expect(resumedAt(undefined, 'e2ee')).to.equal(undefined)
  })

  it('begin where they were never asked for', () => {
    const pos = at(5, pausedIn(undefined, NONE))
    for (const name of ALL) expect(resumedAt(pos, name), name).to.equal(undefined)
    const later = at(9, pausedIn(pos, NONE))
    for (const name of ALL) expect(resumedAt(later, name), name).to.equal(undefined)
  })

  it('go on from where they were asked for last, in the streams that they tell of', () => {
    const first = at(9, pausedIn(at(5), NONE))
    const pos = at(12, pausedIn(first, NONE))
    const { stream } = at(12)
    expect(resumedAt(pos, 'account_data')?.stream).to.deep.equal({ ...stream, accountData: 5, pushRules: 5 })
    expect(resumedAt(pos, 'e2ee')?.stream).to.deep.equal({ ...stream, events: 5, deviceLists: 5 })
    expect(resumedAt(pos, 'typing')?.stream).to.deep.equal({ ...stream, typing: 5 })
    expect(resumedAt(pos, THREADS)).to.deep.include({ threads: 5, stream })
    expect(resumedAt(at(14, pausedIn(pos, ALL)), 'typing')).to.deep.equal(at(14))
  })
})
