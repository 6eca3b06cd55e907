import { expect } from 'chai'
import { buildRouteTable } from '../../../src/http/route-table.js'
import { route, type Route } from '../../../src/http/route.js'
import { Router } from '../../../src/http/router.js'

function routeAt(
  operationId: string,
  method: Route['method'],
  path: string,
  more: Partial<Route> = {},
): Route {
  return {
    ...route({ operationId, method, path, auth: 'none', handler: () => Promise.resolve({}) }),
    ...more,
  }
}

const ROUTES = [
  routeAt('getState', 'GET', '/_matrix/client/v3/rooms/:roomId/state'),
  routeAt('getStateEvent', 'GET', '/_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey'),
  routeAt('setStateEvent', 'PUT', '/_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey'),
  routeAt('getRooms', 'GET', '/_matrix/client/v3/joined_rooms', { legacy: false }),
  routeAt('getProfile', 'GET', '/_matrix/client/v3/profile/:userId', {
    aliases: ['/_matrix/client/unstable/me'],
  }),
]

function find(method: string, path: string): string {
  const match = new Router(buildRouteTable(ROUTES)).match(method, path)
  if (match.kind === 'wrongMethod') return `not ${method} but ${match.allowed.join(',')}`
  if (match.kind === 'unknown') return 'unknown'
  return `${match.entry.route.operationId} ${JSON.stringify(match.params)}`
}

describe('http/router', () => {
  it('decodes parameters', () => {
    expect(find('GET', '/_matrix/client/v3/rooms/!a%3Ab/state/m.x/a%2Fb')).to.equal(
      'getStateEvent {"roomId":"!a:b","eventType":"m.x","stateKey":"a/b"}',
    )
    expect(find('GET', '/_matrix/client/v3/profile/@caf%C3%A9:b')).to.equal('getProfile {"userId":"@café:b"}')
    expect(find('GET', '/_matrix/client/v3/profile/@caf\u00c3\u00a9:b')).to.equal(
      'getProfile {"userId":"@café:b"}',
    )
  })

  it('takes an empty state key, with and without the slash', () => {
    expect(find('PUT', '/_matrix/client/v3/rooms/!r/state/m.room.name/')).to.equal(
      'setStateEvent {"roomId":"!r","eventType":"m.room.name","stateKey":""}',
    )
    expect(find('PUT', '/_matrix/client/v3/rooms/!r/state/m.room.name')).to.equal(
      'setStateEvent {"roomId":"!r","eventType":"m.room.name"}',
    )
    expect(find('GET', '/_matrix/client/v3/rooms/!r/state')).to.equal('getState {"roomId":"!r"}')
  })

  it('serves r0 as v3 unless the route says otherwise', () => {
    expect(find('GET', '/_matrix/client/r0/rooms/!r/state')).to.equal('getState {"roomId":"!r"}')
    expect(find('GET', '/_matrix/client/r0/joined_rooms')).to.equal('unknown')
  })

  it('serves aliases', () => {
    expect(find('GET', '/_matrix/client/unstable/me')).to.equal('getProfile {}')
  })

  it('tells unknown paths from known paths with another method', () => {
    expect(find('DELETE', '/_matrix/client/v3/rooms/!r/state/a/b')).to.equal('not DELETE but GET,PUT')
    expect(find('GET', '/_matrix/client/v3/joined_rooms/')).to.equal('unknown')
    expect(find('BREW', '/_matrix/client/v3/nothing')).to.equal('unknown')
  })

  it('answers HEAD with what GET gives', () => {
    expect(find('HEAD', '/_matrix/client/v3/joined_rooms')).to.equal('getRooms {}')
  })

  it('takes long identifiers', () => {
    const userId = `@${'x'.repeat(5000)}:b`
    expect(find('GET', `/_matrix/client/v3/profile/${userId}`)).to.equal(`getProfile {"userId":"${userId}"}`)
  })

  it('refuses what cannot be decoded', () => {
    for (const bad of ['%zz', '%ff', '%']) {
      expect(() => find('GET', `/_matrix/client/v3/profile/${bad}`), bad)
        .to.throw()
        .with.property('errcode', 'M_INVALID_PARAM')
    }
  })
})

describe('http/route-table', () => {
  it('refuses two routes with one name, and two at one place', () => {
    expect(() => buildRouteTable([routeAt('a', 'GET', '/a'), routeAt('a', 'GET', '/b')])).to.throw('called a')
    expect(() => buildRouteTable([routeAt('a', 'GET', '/a/:x'), routeAt('b', 'GET', '/a/:y')])).to.throw(
      'a and b are both served at GET /a/:',
    )
    expect(() => buildRouteTable([routeAt('a', 'GET', '/a/:x'), routeAt('b', 'PUT', '/a/:y')])).not.to.throw()
  })

  it('refuses aliases with parameters of their own', () => {
    expect(() => buildRouteTable([routeAt('a', 'GET', '/a/:x', { aliases: ['/b/:y'] })])).to.throw(
      'no parameter y',
    )
  })
})
