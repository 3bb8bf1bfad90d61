package example;

import org.junit.BeforeClass;
import org.junit.Test;

/** Fails before any of its tests. */
public class BrokenSetupTest {
    @BeforeClass public static void setUp() { throw new IllegalStateException("the setup is broken"); }
    @Test public void neverRuns() {}
}
