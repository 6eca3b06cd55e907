import type { Route } from './route.js'

/** One path at which a route is served. */
export interface TableEntry {
  readonly method: Route['method']
  readonly path: string
  readonly route: Route
  /** The names of all parameters of the route, in order; a path may leave some out. */
  readonly paramNames: readonly string[]
}

/**
 * All paths at which routes are served: their own, `aliases`, `r0` for `v3`, and the form without a state key. Throws
 * when two routes have the same operationId, or the same method and path but for the names of parameters.
 */
export function buildRouteTable(routes: readonly Route[]): readonly TableEntry[] {
  const byOperation = new Map<string, Route>()
  const byShape = new Map<string, TableEntry>()
  for (const route of routes) {
    if (byOperation.has(route.operationId)) throw new Error(`Two routes are called ${route.operationId}`)
    byOperation.set(route.operationId, route)
    for (const path of pathsOf(route)) addEntry(byShape, route, path)
  }
  return [...byShape.values()]
}

function addEntry(byShape: Map<string, TableEntry>, route: Route, path: string): void {
  const shape = `${route.method} ${path.replace(PARAMETER, ':')}`
  const taken = byShape.get(shape)
  if (taken?.route === route) return
  if (taken !== undefined) {
    throw new Error(`${taken.route.operationId} and ${route.operationId} are both served at ${shape}`)
  }
  byShape.set(shape, { method: route.method, path, route, paramNames: parameterNames(String(route.path)) })
}

const PARAMETER = /:[A-Za-z]\w*/g
const VERSION_3 = /^\/_matrix\/(client|media)\/v3\//
const STATE_KEY = '/:stateKey'

function pathsOf(route: Route): readonly string[] {
  const names = new Set(parameterNames(String(route.path)))
  const paths: string[] = []
  for (const path of [String(route.path), ...(route.aliases ?? [])]) {
    const unknown = parameterNames(path).find((name) => !names.has(name))
    if (unknown !== undefined) throw new Error(`${route.operationId} has no parameter ${unknown}`)
    const forms = path.endsWith(STATE_KEY) ? [path, path.slice(0, -STATE_KEY.length)] : [path]
    for (const form of forms) {
      paths.push(form)
      if (route.legacy !== false && VERSION_3.test(form))
        paths.push(form.replace(VERSION_3, '/_matrix/$1/r0/'))
    }
  }
  return paths
}

function parameterNames(path: string): string[] {
  return (path.match(PARAMETER) ?? []).map((name) => name.slice(1))
}
