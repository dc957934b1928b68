export { chooseBest } from './best.ts';
export { forwardedRequest, forwardedResponse, type Forwarding } from './forward.ts';
export { loopHash, loops, MAX_BREADTH, maxBreadth, maxForwards } from './limits.ts';
export { readRouteToken, routeToken } from './route-token.ts';
export { parsePlan, type ProxyPlan } from './plan.ts';
export { ResponseContext, type Branch, type BranchTimer, type ProxyAction } from './response-context.ts';
