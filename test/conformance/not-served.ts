/** Operations of the client-server API without a route, by the reason. An entry goes when its route comes. */
export const NOT_SERVED: Readonly<Record<string, readonly string[]>> = {
  'The route of the other operation at the same path answers it too': ['inviteBy3PID', 'peekEvents'],
  'This is no policy server': ['getWellknownPolicy'],
}
