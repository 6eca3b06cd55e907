/**
 * What the server does, as endpoints see it: one entry per service. Only types are imported here, so that a route
 * table can be listed without building a server.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- services add themselves as they come
export interface Services {}
