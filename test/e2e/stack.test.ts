import { testStack } from './suite.ts';
import { findDeployed, findLocalStack } from './targets.ts';

testStack('LocalStack', await findLocalStack());
testStack('AWS', findDeployed());
