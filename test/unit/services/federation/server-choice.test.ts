import { expect } from 'chai'
import { MatrixError } from '../../../../src/protocol/errors.js'
import type { RoomId, ServerName } from '../../../../src/protocol/ids.js'
import {
  firstThatHelps,
  serversFor,
  toClientError,
} from '../../../../src/services/federation/server-choice.js'
import { FederationError } from '../../../../src/services/remote/federation-error.js'
import { rejection } from '../../../support/rejection.js'

const US = 'us.test' as ServerName
const servers = (...names: string[]): ServerName[] => names as ServerName[]

function refusal(status: number, errcode: string | undefined, body = {}): FederationError {
  return new FederationError('x.test' as ServerName, 'refused', 'no', {
    status,
    ...(errcode !== undefined && { errcode, body: { errcode, error: `says ${errcode}`, ...body } }),
  })
}

describe('choice of servers', () => {
  it('takes those that were named, and else the one in the ID of the room, but not ourselves', () => {
    const room = '!room:home.test' as RoomId
    const named = ['a.test', 'us.test', 'no server', 'a.test', 'b.test:8448']
    expect(serversFor(room, named, US)).to.deep.equal(['a.test', 'b.test:8448'])
    expect(serversFor(room, ['us.test'], US)).to.deep.equal(['home.test'])
    expect(serversFor('!room:us.test' as RoomId, [], US)).to.deep.equal([])
    expect(serversFor(`!${'a'.repeat(43)}` as RoomId, [], US)).to.deep.equal([])
    expect(
      serversFor(
        room,
        Array.from({ length: 50 }, (_, n) => `s${n}.test`),
        US,
      ),
    ).to.have.length(10)
  })

  it('goes on to the next until one helps', async () => {
    const asked: string[] = []
    const helped = await firstThatHelps(servers('a', 'b', 'c'), (server) => {
      asked.push(server)
      return server === 'b' ? Promise.resolve('yes') : Promise.reject(refusal(502, undefined))
    })
    expect([helped, asked]).to.deep.equal(['yes', ['a', 'b']])
  })

  it('reports what says most', async () => {
    const failures = [
      refusal(502, undefined),
      refusal(404, 'M_NOT_FOUND'),
      refusal(403, 'M_FORBIDDEN'),
      refusal(400, 'M_UNABLE_TO_GRANT_JOIN'),
    ]
    const reported = async (count: number): Promise<unknown> => {
      const left = failures.slice(0, count)
      const names = servers(...left.map((_, index) => `s${index}`))
      return rejection(firstThatHelps(names, () => Promise.reject(left.shift()!)))
    }
    expect(await reported(4)).to.include({ errcode: 'M_FORBIDDEN', status: 403 })
    expect(await reported(2)).to.include({ errcode: 'M_NOT_FOUND', status: 404 })
    expect(await reported(1)).to.include({ errcode: 'M_CONNECTION_FAILED', status: 502 })
    expect(await reported(0)).to.include({ errcode: 'M_NOT_FOUND', status: 404 })
  })

  it('stops where the room itself cannot be joined', async () => {
    let asked = 0
    const error = await rejection(
      firstThatHelps(servers('a', 'b'), () => {
        asked++
        return Promise.reject(refusal(400, 'M_INCOMPATIBLE_ROOM_VERSION', { room_version: '99' }))
      }),
    )
    expect(error).to.deep.include({ errcode: 'M_INCOMPATIBLE_ROOM_VERSION', fields: { room_version: '99' } })
    expect(asked).to.equal(1)
  })

  it('keeps errors about our own requests from clients, and passes on what it does not know', () => {
    for (const errcode of ['M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_UNAUTHORIZED', 'M_UNRECOGNIZED']) {
      expect(toClientError(refusal(400, errcode))).to.include({ errcode: 'M_CONNECTION_FAILED', status: 502 })
    }
    expect(toClientError(refusal(429, 'M_LIMIT_EXCEEDED'))).to.include({ status: 429 })
    const unknown = toClientError(refusal(418, 'ORG.EXAMPLE_TEAPOT'))
    expect(unknown).to.include({ status: 418 })
    expect(unknown.toJson()).to.deep.equal({
      errcode: 'ORG.EXAMPLE_TEAPOT',
      error: 'says ORG.EXAMPLE_TEAPOT',
    })
    for (const [status, errcode] of [
      [401, 'X_OWN'],
      [500, 'X_OWN'],
      [400, 'no errcode'],
    ] as const) {
      expect(toClientError(refusal(status, errcode))).to.include({
        errcode: 'M_CONNECTION_FAILED',
        status: 502,
      })
    }
    const own = new MatrixError('M_FORBIDDEN', 'ours')
    expect(toClientError(own)).to.equal(own)
    const bug = new TypeError('a bug')
    expect(() => toClientError(bug)).to.throw(bug)
  })
})
