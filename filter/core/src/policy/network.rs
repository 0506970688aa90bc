//! The policy's graph in tract.
//!
//! One optimised plan and one reused state per policy: optimising is worth a factor of 80, a reused state a
//! quarter of what is left. The framework (NNEF's operator registry) takes milliseconds to build, so it is kept.

use std::cell::RefCell;
use std::fmt;
use std::sync::OnceLock;
use tract_nnef::prelude::*;

use crate::MAX_MODELS;
use crate::decide::rule::QValues;
use crate::policy::error::PolicyError;

static FRAMEWORK: OnceLock<tract_nnef::framework::Nnef> = OnceLock::new();

pub(super) struct Network {
    state: RefCell<TypedSimpleState>,
    inputs: usize,
    models: usize,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({} inputs, {} models)", self.inputs, self.models)
    }
}

fn engine(error: impl fmt::Display) -> PolicyError {
    PolicyError::Graph(format!("the engine refuses the graph: {error:#}"))
}

impl Network {
    /// Loads a checked archive; the graph must map `[1, inputs]` to `[1, models]` twice (quality, cost).
    pub(super) fn load(tar: &[u8], inputs: usize, models: usize) -> Result<Network, PolicyError> {
        let framework = FRAMEWORK.get_or_init(tract_nnef::nnef);
        let mut model = framework.model_for_read(&mut &*tar).map_err(engine)?;
        let input = model.input_outlets().map_err(engine)?.to_vec();
        let output = model.output_outlets().map_err(engine)?.to_vec();
        let shape = |outlet: &OutletId| -> Result<Vec<usize>, PolicyError> {
            let fact = model.outlet_fact(*outlet).map_err(engine)?;
            Ok(fact.shape.as_concrete().unwrap_or_default().to_vec())
        };
        let found = |outlets: &[OutletId]| outlets.iter().map(shape).collect::<Result<Vec<_>, _>>();
        let (found_input, found_output) = (found(&input)?, found(&output)?);
        if found_input != [[1, inputs]] || found_output != [[1, models], [1, models]] {
            return Err(PolicyError::Graph(format!(
                "the graph maps {found_input:?} to {found_output:?}, expected [1, {inputs}] to twice [1, {models}]"
            )));
        }
        // Without `declutter`, which `into_optimized` runs first: it moves the axes of length 1, and after a moved axis
        // biases and ReLUs are no longer fused into the products (26 nodes instead of 18 for the shipped policy).
        model.optimize().map_err(engine)?;
        let state = model.into_runnable().and_then(|plan| plan.spawn()).map_err(engine)?;
        Ok(Network { state: RefCell::new(state), inputs, models })
    }

    pub(super) fn run(&self, input: &[f32]) -> Result<QValues, PolicyError> {
        let failed = |error: &dyn fmt::Display| PolicyError::Inference(format!("inference failed: {error}"));
        if input.len() != self.inputs {
            return Err(failed(&format!("{} features instead of {}", input.len(), self.inputs)));
        }
        let tensor = Tensor::from_shape(&[1, self.inputs], input).map_err(|error| failed(&error))?;
        let mut state = self.state.try_borrow_mut().map_err(|error| failed(&error))?;
        let outputs = state.run(tvec!(tensor.into_tvalue())).map_err(|error| failed(&error))?;
        let mut values = QValues::default();
        for (to, output) in [&mut values.quality, &mut values.cost].into_iter().zip(&outputs) {
            let plain = output.try_as_plain_ram().map_err(|error| failed(&error))?;
            let numbers = plain.as_slice::<f32>().map_err(|error| failed(&error))?;
            to.iter_mut()
                .zip(numbers.iter().take(self.models.min(MAX_MODELS)))
                .for_each(|(to, from)| *to = *from);
        }
        Ok(values)
    }
}
